#!/bin/sh
# secrets.sh [FILE]  writes infra/.env (or FILE) from .env.example, with a random secret wherever that says change-me.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${1:-$here/.env}

taken() {
  echo "$target is there already and was left as it is: other secrets would lock the servers out of their databases. \
docs/servers.md says how to change one." >&2
  exit 2
}

[ ! -e "$target" ] || taken
umask 077
part=$(mktemp "$target.XXXXXX")
trap 'rm -f "$part"' EXIT
while IFS= read -r line || [ -n "$line" ]; do
  case $line in
    *=change-me) printf '%s=%s\n' "${line%%=*}" "$(od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n')" ;;
    *) printf '%s\n' "$line" ;;
  esac
done <"$here/.env.example" >"$part"
ln "$part" "$target" 2>/dev/null || taken
echo "Wrote $target with random secrets, readable by you alone. Keep a copy where you keep passwords; never commit it."
