#!/bin/sh
# Does what the official image does for the Compose file: initializes an empty directory, runs the
# scripts of /docker-entrypoint-initdb.d once, on the socket only, and then starts the server.
set -eu

if [ "$(id -u)" = 0 ]; then
    install -d -m 0700 -o postgres "$(dirname "$PGDATA")" "$PGDATA"
    exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    umask 077
    printf '%s\n' "${POSTGRES_PASSWORD:?}" > /tmp/password
    initdb --username=postgres --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    pg_ctl -w start -o "-c listen_addresses='' -k /var/run/postgresql"
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql -v ON_ERROR_STOP=1 -h /var/run/postgresql -U postgres -d postgres -f "$script"
    done
    pg_ctl -w -m fast stop
fi
exec "$@" -k /var/run/postgresql
