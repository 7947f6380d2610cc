"""A headless Chromium that tests steer through its debugging port."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
NEEDED = "FOLDCAM_TESTS_NEED_BROWSER"
"""The variable that makes a missing browser a failure; `.ci/run` sets it."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,900",
    "--remote-debugging-port=0",
)
KEY_CODES = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Escape": 27}


class Browser:
    """One page. `faults` holds what it wrote to the console as errors, `requests` the addresses that it asked for."""

    def __init__(self, connection: ClientConnection, targets: str) -> None:
        self._connection, self._targets, self._numbers = connection, targets, count(1)
        self.faults: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=120))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._take(message.get("method", ""), message.get("params", {}))

    def _take(self, event: str, content: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(content["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
            self.faults.append(json.dumps(content["args"]))
        elif event == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            self.faults.append(content["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"])

    def open(self, address: str) -> None:
        self.call("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank' && document.readyState === 'complete'")
        self.faults.clear()
        self.requests.clear()
        self.call("Page.navigate", url=address)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """Give what an expression comes to; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    @contextmanager
    def frame(self) -> Iterator[Browser]:
        """Give the page's frame, which has a process of its own because it has another origin."""
        with connect(_address(self._targets, "iframe"), max_size=None, proxy=None) as connection:
            yield Browser(connection, self._targets)

    def wait(self, condition: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, f"{condition} did not come true; faults: {self.faults}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        code = KEY_CODES.get(key, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])


def program() -> str:
    """Give the browser's program; without one the test is skipped, or fails where a browser is needed."""
    found = [path for path in map(shutil.which, (*NAMES, *PLACES)) if path]
    if found:
        return found[0]
    reason = f"No Chromium or Chrome on the path ({', '.join(NAMES)}), such as apt-get install chromium brings."
    if os.environ.get(NEEDED):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Run Chromium with its profile in `folder` while the block lasts; see `program` for a machine without it."""
    command = [program(), *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            targets = _targets(folder / "profile", process)
            with connect(_address(targets, "page"), max_size=None, proxy=None) as connection:
                yield Browser(connection, targets)
        finally:
            process.terminate()
            process.wait(30)


def _targets(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Give the address where Chromium lists its pages and frames, once it answers."""
    file, end = profile / "DevToolsActivePort", time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if file.exists() and (port := file.read_text().split("\n")[0]):
            return f"http://127.0.0.1:{port}/json/list"
        time.sleep(0.1)
    pytest.fail(f"Chromium did not start: {(profile.parent / 'browser.log').read_text(errors='replace')[-2000:]}")


def _address(targets: str, kind: str) -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with direct.open(targets) as answer:
            found = [target["webSocketDebuggerUrl"] for target in json.load(answer) if target["type"] == kind]
        if found:
            return str(found[0])
        time.sleep(0.1)
    pytest.fail(f"Chromium has no {kind} to connect to.")
