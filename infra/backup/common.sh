# What backup.sh and restore.sh share: what is kept, and who owns it.
set -euo pipefail
umask 077

declare -A OWNERS=([mlflow]=mlflow [mlflow_sign_in]=mlflow [prefect]=prefect)
# MLflow's own before its sign-in: whatever the one names, the other has rights for.
DATABASES=(mlflow mlflow_sign_in prefect)

export RCLONE_CONFIG_STORE_TYPE=s3 RCLONE_CONFIG_STORE_PROVIDER=Other RCLONE_CONFIG_STORE_ENV_AUTH=true
export RCLONE_CONFIG_STORE_ENDPOINT=$STORE_URL RCLONE_CONFIG_STORE_REGION=${AWS_DEFAULT_REGION:-us-east-1}
STORE="store:$STORE_BUCKET"

fail() {
  echo "$1" >&2
  exit "${2:-1}"
}

# The store's own times are taken as they are: asking for each object's would cost a call an object.
copied() {
  rclone --config= --log-level=NOTICE --retries=5 --use-server-modtime "$@"
}

backups() {
  find "$BACKUP_FOLDER" -mindepth 1 -maxdepth 1 -type d -name '20*Z' -printf '%f\n' | sort
}

listed() {
  (cd "$1" && find . -type f -printf '%s %P\n' | LC_ALL=C sort -k2)
}
