#!/bin/bash
# Runs PostgreSQL and FerretDB; ends when either does. Data in /data; user and password from the environment.
set -euo pipefail

bin=/usr/lib/postgresql/18/bin
data=/data/postgresql
sockets=/tmp
: "${MONGO_INITDB_ROOT_USERNAME:?}" "${MONGO_INITDB_ROOT_PASSWORD:?}"

if [ ! -f "$data/initialised" ]; then
    rm -rf "$data"
    # DocumentDB connects to its own server without a password; nobody outside the pod reaches that server, and
    # FerretDB checks the clients' passwords against the role's.
    "$bin/initdb" --pgdata="$data" --username="$MONGO_INITDB_ROOT_USERNAME" --auth=trust \
        --pwfile=<(printf '%s\n' "$MONGO_INITDB_ROOT_PASSWORD") --encoding=UTF8 --locale=C.UTF-8 --no-sync
    cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$sockets'
max_connections = 200
shared_buffers = 64MB
fsync = off
shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
cron.database_name = 'postgres'
cron.use_background_workers = on
cron.log_run = off
cron.log_statement = off
max_worker_processes = 20
CONF
    touch "$data/initialised"
fi

# The kubelet makes the volume's content writable for the pod's group each time it mounts it; postgres refuses that.
chmod 0700 "$data"
# A pod that was killed leaves its lock file; no other server runs on this volume (strategy Recreate).
rm -f "$data/postmaster.pid"
"$bin/postgres" -D "$data" &
postgres=$!
ferretdb=
trap 'kill -TERM $ferretdb 2>/dev/null || true; kill -INT "$postgres" 2>/dev/null || true; wait' TERM INT

export PGPASSWORD=$MONGO_INITDB_ROOT_PASSWORD
until "$bin/pg_isready" --quiet --host="$sockets" --username="$MONGO_INITDB_ROOT_USERNAME"; do
    kill -0 "$postgres"
    sleep 0.1
done
"$bin/psql" --quiet --host="$sockets" --username="$MONGO_INITDB_ROOT_USERNAME" --dbname=postgres \
    --command='CREATE EXTENSION IF NOT EXISTS documentdb CASCADE'

FERRETDB_POSTGRESQL_URL="postgres://$MONGO_INITDB_ROOT_USERNAME:$MONGO_INITDB_ROOT_PASSWORD@127.0.0.1:5432/postgres" \
    /usr/local/bin/ferretdb --listen-addr=0.0.0.0:27017 --debug-addr=- --telemetry=disable \
    --state-dir=/tmp --log-level=warn &
ferretdb=$!
wait -n "$postgres" "$ferretdb"
