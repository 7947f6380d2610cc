#!/bin/sh
# secrets.sh [FILE]  prints the Secret `foldcam` from infra/.env (or FILE), unless a secret is missing or a placeholder:
#   sh infra/secrets.sh && sh infra/kubernetes/secrets.sh | kubectl apply --filename=-
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
file=${1:-$here/../.env}
names="DATABASE_PASSWORD MLFLOW_DATABASE_PASSWORD PREFECT_DATABASE_PASSWORD STORE_ACCESS_KEY STORE_SECRET_KEY
MLFLOW_ADMIN_PASSWORD MLFLOW_WORKER_PASSWORD MLFLOW_SECRET_KEY PREFECT_PASSWORD"

refuse() {
  echo "$1, so no Secret was made. \`sh infra/secrets.sh\` makes infra/.env with random secrets." >&2
  exit 78
}

given() { sed -n "s/^$1=//p" "$file" | tail -n 1 | tr -d '\r\n'; }
line() { printf '  %s: %s\n' "$1" "$(printf %s "$2" | base64 | tr -d '\n')"; }

[ -r "$file" ] || refuse "$file cannot be read"
for name in $names; do
  (export "$name=$(given "$name")" && exec sh "$here/../docker/guard.sh" "$name" -- true)
done
cat <<'HEAD'
apiVersion: v1
kind: Secret
metadata:
  name: foldcam
  namespace: foldcam
type: Opaque
data:
HEAD
for name in $names; do line "$name" "$(given "$name")"; done
user=$(given PREFECT_USER)
line PREFECT_AUTH_STRING "${user:-team}:$(given PREFECT_PASSWORD)"
