#!/bin/sh
# Resolves the images' lock files anew, at the versions and hashes of requirements.lock; `make lock` calls it.
set -eu
cd "$(dirname "$0")/../.."
lock() {
  to=$1
  shift
  "${UV:-.venv/bin/uv}" pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url \
    --python-version 3.11 --constraint requirements.lock --custom-compile-command "make lock" \
    --output-file "infra/docker/$to.lock" "$@"
}
lock mlflow infra/docker/mlflow.in
lock prefect infra/docker/prefect.in
lock build infra/docker/build.in
lock worker-cpu --extra ray --extra dask --extra remote pyproject.toml
lock worker-gpu --extra ray --extra dask --extra remote --extra gpu \
  --override infra/docker/worker-gpu.overrides pyproject.toml
