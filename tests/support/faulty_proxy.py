"""A forwarder in front of a server: counts what passes, and does to it what a test asks for."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

IDS = re.compile(r"/(?:[0-9a-f]{32}|m-[0-9a-f]{32}|\d+)(?=/|$)")
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass(frozen=True)
class Fault:
    """What becomes of a request.

    `status`: it is answered with this one, with `headers`, and never reaches the server. `seconds`: it is held up.
    `lost`: the connection breaks, before the server hears of it or, with `after`, when the server has done it.
    """

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    lost: bool = False
    after: bool = False


Script = Callable[[str, str], Fault | None]
"""From a request's method and path to what becomes of it; None: it is forwarded."""


@dataclass
class FaultyProxy:
    """A running forwarder at `url`; `script` and `gone` may be changed while it runs.

    `calls` counts requests by method and route, ids in paths left out; artifacts are counted as such.
    """

    url: str
    script: Script | None = None
    gone: bool = False
    """Every connection is closed at once, as if nothing listened."""
    calls: Counter[str] = field(default_factory=Counter)
    bytes_up: int = 0
    struck: int = 0
    """How many requests a fault of the script befell."""

    @property
    def total(self) -> int:
        return sum(self.calls.values())

    def forget(self) -> None:
        """Count from nought again."""
        self.calls.clear()
        self.bytes_up = self.struck = 0

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be gone while the block lasts."""
        self.gone = True
        try:
            yield
        finally:
            self.gone = False


def every(number: int, fault: Fault, *, only: str = "") -> Script:
    """Give a script by which every so manieth request whose path contains `only` has the fault."""
    seen, lock = Counter[str](), threading.Lock()

    def script(method: str, path: str) -> Fault | None:
        if only not in path:
            return None
        with lock:
            seen["all"] += 1
            return fault if seen["all"] % number == 0 else None

    return script


def once(fault: Fault, *, only: str = "", method: str = "") -> Script:
    """Give a script by which the first request of this kind has the fault."""
    done, lock = threading.Event(), threading.Lock()

    def script(its_method: str, path: str) -> Fault | None:
        with lock:
            if done.is_set() or only not in path or (method and method != its_method):
                return None
            done.set()
            return fault

    return script


@contextmanager
def faulty_proxy(target: str, script: Script | None = None) -> Iterator[FaultyProxy]:
    """Forward to the server at `target` while the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    proxy = FaultyProxy(f"http://127.0.0.1:{server.server_port}", script)
    place = urlsplit(target)
    server.proxy = proxy  # type: ignore[attr-defined]
    server.target = (place.hostname, place.port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    _counting = threading.Lock()

    def _pass(self) -> None:
        proxy: FaultyProxy = self.server.proxy  # type: ignore[attr-defined]
        if proxy.gone:
            self._break()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self._counting:
            proxy.calls[_route(self.command, self.path)] += 1
            proxy.bytes_up += len(body)
        fault = proxy.script(self.command, self.path) if proxy.script else None
        if fault is not None:
            proxy.struck += 1
            time.sleep(fault.seconds)
            if fault.lost and not fault.after:
                self._break()
                return
            if fault.status is not None:
                self._answer(fault.status, fault.headers, b'{"error_code": "TRY_LATER", "message": "a scripted fault"}')
                return
        try:
            status, headers, content = self._forward(body)
        except OSError:
            self._break()
            return
        if proxy.gone or (fault is not None and fault.lost):
            self._break()
            return
        self._answer(status, headers, content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _pass  # noqa: N815 — the names are given

    def _forward(self, body: bytes) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        host, port = self.server.target  # type: ignore[attr-defined]
        link = http.client.HTTPConnection(host, port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            link.request(self.command, self.path, body=body, headers=headers)
            answer = link.getresponse()
            content = answer.read()
            return answer.status, tuple(answer.getheaders()), content
        finally:
            link.close()

    def _answer(self, status: int, headers: tuple[tuple[str, str], ...], content: bytes) -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in HOP | {"date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else content)

    def _break(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _route(method: str, path: str) -> str:
    plain = urlsplit(path).path
    if "/mlflow-artifacts/artifacts/" in plain:
        return f"{method} artifact"
    return f"{method} {IDS.sub('/ID', plain.replace('/api/2.0/', '/').replace('/ajax-api/2.0/', '/'))}"
