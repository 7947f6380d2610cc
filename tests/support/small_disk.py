"""A disk of a few hundred kilobytes, to be filled and given room again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """A folder with a file system of its own in memory."""

    folder: Path

    def resize(self, kilobytes: int) -> None:
        """Let it hold so much."""
        _call("mount", "-o", f"remount,rw,size={kilobytes}k", str(self.folder))

    def fill(self, leave: int = 0) -> None:
        """Take all its room but `leave` kilobytes."""
        room = os.statvfs(self.folder)
        used = (room.f_blocks - room.f_bfree) * room.f_frsize // 1024
        self.resize(max(used + leave, 4))

    def protect(self) -> None:
        """Let nobody write to it."""
        _call("mount", "-o", "remount,ro", str(self.folder))


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[SmallDisk]:
    """Give a small disk at a folder; the test is skipped where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _call("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield SmallDisk(folder)
    finally:
        _call("umount", "-l", str(folder))


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
