#!/bin/sh
# Pins every FROM of the Dockerfiles by digest, asking the registry what each tag is now; needs Docker and a network.
set -eu
cd "$(dirname "$0")"
sed -n 's/^FROM \([^ @]*:[^ @]*\) .*/\1/p' ./*.Dockerfile | sort -u | while read -r tag; do
  digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$tag")
  sed -i.before "s#^FROM $tag #FROM $tag@$digest #" ./*.Dockerfile
  echo "$tag@$digest"
done
rm -f ./*.before
