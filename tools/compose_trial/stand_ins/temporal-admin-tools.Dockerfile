FROM tollgate-trial-base:bookworm
COPY temporal/bin/temporal temporal/bin/temporal-sql-tool /usr/local/bin/
COPY temporal/schema /etc/temporal/schema
RUN useradd --uid 1000 temporal
USER temporal
