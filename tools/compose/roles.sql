-- Run once, on an empty data directory: a role for each program, none of them a superuser.
\getenv tollgate_password TOLLGATE_DB_PASSWORD
\getenv temporal_password TEMPORAL_DB_PASSWORD
create role tollgate login password :'tollgate_password';
create database tollgate owner tollgate;
create role temporal login createdb password :'temporal_password';
