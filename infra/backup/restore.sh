#!/usr/bin/env bash
# restore [--replace] [DATE]   puts a backup (default: the newest) back; restore --list names them.
#
# The servers must not run. A database or store that holds something is left alone, unless --replace says otherwise.
# Databases are filled beside the old ones and exchanged at the end, all in one: a restore that fails changes none.
source "$FOLDCAM_BACKUP_LIB"
export PGOPTIONS=--client-min-messages=warning

query() {
  psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname="$1" --command="$2"
}

checked() {
  local names
  [ -d "$from" ] || fail "There is no backup ${from##*/} in $BACKUP_FOLDER. \`restore --list\` names those there are." 2
  (cd "$from" && sha256sum --quiet --check SHA256SUMS) || fail "The backup ${from##*/} is damaged. Use another one." 2
  diff <(listed "$from/artifacts") "$from/artifacts.list" >/dev/null ||
    fail "The artifacts of the backup ${from##*/} are not those it was made with. Use another one." 2
  names=$(query postgres "SELECT string_agg(DISTINCT datname, ', ') FROM pg_stat_activity
    WHERE datname IN ('mlflow', 'mlflow_sign_in', 'prefect') AND pid <> pg_backend_pid()")
  [ -z "$names" ] || fail "Something is connected to $names. Stop the servers first: docker compose stop mlflow prefect \
worker." 2
}

refuse_full() {
  local full=() database
  for database in "${DATABASES[@]}"; do
    [ "$(query "$database" "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")" = 0 ] ||
      full+=("the database $database")
  done
  [ -z "$(copied lsf --recursive --files-only "$STORE" | head -n 1)" ] || full+=("the artifact store")
  [ "${#full[@]}" = 0 ] || fail "$(printf '%s, ' "${full[@]}" | sed 's/, $//') would be overwritten: nothing was \
changed. Add --replace if that is meant; \`backup\` keeps what is there before." 2
}

restored() {
  local database exchange=
  for database in "${DATABASES[@]}"; do
    query postgres "DROP DATABASE IF EXISTS ${database}_replaced"
    query postgres "DROP DATABASE IF EXISTS ${database}_restored"
    query postgres "CREATE DATABASE ${database}_restored OWNER ${OWNERS[$database]}"
    pg_restore --no-owner --no-privileges --role="${OWNERS[$database]}" --exit-on-error --single-transaction \
      --dbname="${database}_restored" "$from/$database.dump"
  done
  copied copy --ignore-times "$from/artifacts" "$STORE"
  for database in "${DATABASES[@]}"; do
    query postgres "REVOKE CONNECT ON DATABASE ${database}_restored FROM PUBLIC"
    [ -z "$(query postgres "SELECT 1 FROM pg_database WHERE datname = '$database'")" ] ||
      exchange+="ALTER DATABASE $database RENAME TO ${database}_replaced;"
    exchange+="ALTER DATABASE ${database}_restored RENAME TO $database;"
  done
  query postgres "$exchange"
  for database in "${DATABASES[@]}"; do
    query postgres "DROP DATABASE IF EXISTS ${database}_replaced" ||
      echo "The database that was replaced is still there, as ${database}_replaced. Drop it by hand." >&2
  done
}

replace=no
[ "${1:-}" != --list ] || { backups && exit; }
[ "${1:-}" != --replace ] || { replace=yes && shift; }
case ${1:-} in -*) fail "Unknown option $1: use restore [--replace] [DATE], or restore --list." 2 ;; esac
newest=$(backups | tail -n 1)
from="$BACKUP_FOLDER/${1:-$newest}"
[ -n "$newest" ] || fail "There is no backup in $BACKUP_FOLDER." 2
exec 9>"$BACKUP_FOLDER/.lock"
flock --nonblock 9 || fail "Another backup or restore works on $BACKUP_FOLDER. Wait for it." 2
checked
[ "$replace" = yes ] || refuse_full
restored
echo "Restored ${from##*/}: $(wc -l <"$from/artifacts.list") artifacts and ${#DATABASES[@]} databases. Start the servers."
