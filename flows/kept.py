"""Runs a server for as long as it is needed: `python -m flows.kept NOTE COMMAND…`, with a pipe as standard input.

NOTE may be an empty text: a server that nobody else can find.

A parent that is killed cannot end its servers. The pipe closes with it, and the server is ended here: at once, or when
the last of those who found it by its note has left it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

from flows.notes import ending


def main() -> int:
    """Run the command and give its exit code; end it on SIGTERM, or when standard input closes and nobody uses it."""
    note = Path(sys.argv[1]) if sys.argv[1] else None
    server = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_when_not_needed, args=(server, note), daemon=True).start()
    try:
        return server.wait()
    finally:
        if note is not None:
            note.unlink(missing_ok=True)


def _end_when_not_needed(server: subprocess.Popen[bytes], note: Path | None) -> None:
    sys.stdin.read()
    with nullcontext() if note is None else ending(note, wait=True):
        server.terminate()
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.kill()


if __name__ == "__main__":
    sys.exit(main())
