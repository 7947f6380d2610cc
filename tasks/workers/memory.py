"""The most memory that this process held over a stretch of its work."""

from __future__ import annotations

import re
from pathlib import Path

_PROCESS = Path("/proc/self")
_FORGET = "5"
"""What resets the high-water mark of resident memory (proc(5), `clear_refs`)."""


class PeakMemory:
    """The peak of this process's resident memory from now on; known on Linux only.

    It is the whole process that counts: its libraries and what it keeps from earlier work too.
    """

    def __init__(self) -> None:
        try:
            (_PROCESS / "clear_refs").write_text(_FORGET)
        except OSError:
            self._known = False
        else:
            self._known = True

    def megabytes(self) -> float | None:
        """Give the peak so far in MB (of 10⁶ bytes); None where the system does not tell."""
        if not self._known:
            return None
        found = re.search(r"^VmHWM:\s*(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 / 1e6 if found else None
