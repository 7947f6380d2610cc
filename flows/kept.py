"""Runs a server for as long as its parent lives: `python -m flows.kept COMMAND…`, with a pipe as standard input.

A parent that is killed cannot end its servers. The pipe closes with it, and the server is ended here.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the command and give its exit code; end it on SIGTERM or when standard input closes."""
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, args=(server,), daemon=True).start()
    return server.wait()


def _end_with_the_parent(server: subprocess.Popen[bytes]) -> None:
    sys.stdin.read()
    server.terminate()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    sys.exit(main())
