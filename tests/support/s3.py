"""A real S3-compatible server, in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flows.runners import free_port
from tests.support.servers import running

BUCKET = "data"


class S3:
    """A running server, and what people do in its bucket with other tools."""

    def __init__(self, url: str) -> None:
        import boto3

        self.url = url
        self._client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self._client.create_bucket(Bucket=BUCKET)

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=key)

    def upload(self, folder: Path, prefix: str) -> None:
        """Put all files below a folder under a prefix."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def open_to_everybody(self) -> None:
        """Let anyone list the bucket and read what is in it."""
        self._client.put_bucket_acl(Bucket=BUCKET, ACL="public-read")
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for found in page.get("Contents", []):
                self._client.put_object_acl(Bucket=BUCKET, Key=found["Key"], ACL="public-read")

    def close_to_others(self) -> None:
        """Undo it for the bucket."""
        self._client.put_bucket_acl(Bucket=BUCKET, ACL="private")

    @property
    def environment(self) -> Mapping[str, str]:
        """What a user sets to work with this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    """Run a server while the block lasts."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with running(command, folder, f"{url}/moto-api/", "the S3 server"):
        yield S3(url)
