"""A clock for a process and its children that a test can set while they run.

libfaketime would be the ready-made part, and 0.9.10 makes every `time.sleep` of Python 3.11 and newer an EINVAL.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

COMPILER = shutil.which("cc")
SOURCE = Path(__file__).with_name("set_clock.c")


@dataclass(frozen=True)
class SetClock:
    """The time of day of the processes that have `variables`: the true one and as many seconds as were `set`."""

    library: Path
    file: Path

    @property
    def variables(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "FOLDCAM_TEST_CLOCK": str(self.file)}

    def set(self, seconds: int) -> None:
        with self.file.open("r+b") as file:
            file.write(struct.pack("q", seconds))


def set_clock(folder: Path) -> SetClock:
    """Build the clock in a folder; it tells the true time until it is set."""
    assert COMPILER
    clock = SetClock(folder / "set_clock.so", folder / "clock")
    clock.file.write_bytes(struct.pack("q", 0))
    subprocess.run(
        [COMPILER, "-O2", "-shared", "-fPIC", "-o", str(clock.library), str(SOURCE), "-ldl"], check=True, timeout=60
    )
    return clock
