#!/bin/sh
# guard NAME... -- COMMAND...  runs COMMAND, unless one of the secrets is missing, short or a placeholder.
set -eu

refuse() {
  echo "$1 $2, so nothing was started. Make random secrets with \`sh infra/secrets.sh\`, or set $1 in infra/.env to \
at least 16 characters of your own (\`openssl rand -hex 24\`)." >&2
  exit 78
}

while [ "$#" -gt 0 ] && [ "$1" != "--" ]; do
  secret=$(printenv "$1" || true)
  case $1 in *AUTH_STRING) secret=${secret#*:} ;; esac
  [ -n "$secret" ] || refuse "$1" "is empty"
  case $(printf %s "$secret" | tr '[:upper:]' '[:lower:]') in
    *change*me* | *password* | *passwort* | *secret* | *example* | *placeholder* | *default* | *admin* | *123456*)
      refuse "$1" "looks like a placeholder" ;;
  esac
  [ "${#secret}" -ge 16 ] || refuse "$1" "has ${#secret} characters, fewer than 16"
  [ -n "$(printf %s "$secret" | tr -d "$(printf %.1s "$secret")")" ] || refuse "$1" "repeats one character"
  shift
done
shift
unset secret
exec "$@"
