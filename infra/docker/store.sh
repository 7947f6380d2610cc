#!/bin/sh
# Starts SeaweedFS with one key that may do everything. Only its S3 port is reached from outside: the others ask nobody.
set -eu
umask 077
printf '{"identities": [{"name": "foldcam", "credentials": [{"accessKey": "%s", "secretKey": "%s"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}\n' \
  "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >"$STORE_CONFIGURATION"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
exec weed server -dir="$STORE_FOLDER" -ip=127.0.0.1 -ip.bind=127.0.0.1 -volume.max=0 -master.volumeSizeLimitMB=1024 \
  -s3 -s3.ip.bind=0.0.0.0 -s3.port="${STORE_PORT:-8333}" -s3.config="$STORE_CONFIGURATION"
