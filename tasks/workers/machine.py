"""What this machine is, in words."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from tasks.dataset.parallel import usable_cores


def machine() -> str:
    """Name the cores that this process may use and their make, such as `2 cores of AMD EPYC`."""
    cores = usable_cores()
    return f"{cores} core{'' if cores == 1 else 's'} of {processor()}"


def processor() -> str:
    """Name the make of the processor, as the system does."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    name = found[1] if found else platform.processor() or platform.machine()
    return " ".join(name.split())
