#!/bin/sh
# Makes MLflow's account `worker`; if it is there, gives it the password of infra/.env.
set -eu
with_password() { printf '%s\n' "$MLFLOW_WORKER_PASSWORD" | foldcam users "$@" worker --password-stdin; }
with_password add 2>/dev/null || with_password password
