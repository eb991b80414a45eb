#!/bin/sh
# Creates Temporal's two databases, or brings their schemas to this server's version.
set -eu
schemas=/etc/temporal/schema/postgresql/v12

prepare() {
    temporal-sql-tool --database "$1" create-database
    temporal-sql-tool --database "$1" setup-schema --version 0.0 || true # there already
    temporal-sql-tool --database "$1" update-schema --schema-dir "$schemas/$2/versioned"
}

prepare temporal temporal
prepare temporal_visibility visibility
