#!/bin/sh
# What PostgreSQL's image does at its start, with the programs of this machine: on an empty folder initdb and the
# scripts of docker-entrypoint-initdb.d, over a socket alone; then the server. PGPORT says where it listens.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s\n' "$POSTGRES_PASSWORD" >"$PGSOCKETS/password"
  eval "initdb --username=postgres --pwfile=\"\$PGSOCKETS/password\" --auth-local=trust --no-sync $POSTGRES_INITDB_ARGS" >/dev/null
  rm "$PGSOCKETS/password"
  pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -c unix_socket_directories=$PGSOCKETS" start >/dev/null
  export POSTGRES_USER=postgres
  for script in "$INITDB_SCRIPTS"/*.sh; do PGHOST=$PGSOCKETS "$script"; done
  pg_ctl --pgdata="$PGDATA" --wait --mode=fast stop >/dev/null
fi
unset POSTGRES_PASSWORD MLFLOW_DATABASE_PASSWORD PREFECT_DATABASE_PASSWORD
exec "$@" -D "$PGDATA" -c unix_socket_directories="$PGSOCKETS" -c fsync=off
