"""Stands in for SeaweedFS: moto's S3 behind the keys of the file that `-s3.config` names. It forgets when it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve on loopback what `weed server -s3` would."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[2:] if "=" in word)
    assert sys.argv[1] == "server"
    assert "-s3" in sys.argv
    assert options["ip.bind"] == "127.0.0.1"
    identities = json.loads(Path(options["s3.config"]).read_text())["identities"]
    keys = {pair["accessKey"] for identity in identities for pair in identity["credentials"]}
    inner = DomainDispatcherApplication(create_backend_app)

    def application(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environment["PATH_INFO"] == "/healthz":
            start("200 OK", [])
            return [b""]
        if not any(f"Credential={key}/" in environment.get("HTTP_AUTHORIZATION", "") for key in keys):
            start("403 Forbidden", [])
            return [b""]
        return inner(environment, start)

    run_simple("127.0.0.1", int(options["s3.port"]), application, threaded=True)


main()
