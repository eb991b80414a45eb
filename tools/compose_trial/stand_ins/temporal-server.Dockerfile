FROM tollgate-trial-base:bookworm
COPY temporal/bin/temporal-server /usr/local/bin/
COPY temporal-entrypoint.sh /etc/temporal/entrypoint.sh
RUN useradd --uid 1000 temporal
WORKDIR /etc/temporal
USER temporal
CMD ["/etc/temporal/entrypoint.sh"]
