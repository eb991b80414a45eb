FROM tollgate-trial-base:bookworm
COPY temporal/bin/ui-server /usr/local/bin/
COPY temporal/config /home/ui-server/config
RUN useradd --uid 1000 temporal
WORKDIR /home/ui-server
USER temporal
CMD ["ui-server", "--env", "docker", "start"]
