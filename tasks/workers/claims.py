"""Claims on this machine: of several processes that are to do the same thing, one does it and the others wait."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tasks.dataset.locks import hold_when_free

_PAUSE = 0.2


def claims_home(cache_folder: Path) -> Path:
    """Give the folder of all claims."""
    return cache_folder / "claims"


@contextmanager
def claimed(
    cache_folder: Path,
    *key: str,
    alone: bool = True,
    waits: Callable[[str], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[bool]:
    """Hold a claim while the block lasts, and give whether it is held; wait while another process or thread holds it.

    The claim of a process that was killed is free. Where claims cannot be written, or the file system has no locks,
    nobody waits.

    Parameters
    ----------
    cache_folder
        foldcam's own store.
    key
        What is claimed.
    alone
        Whether nobody else may hold it; otherwise others may who do not want it alone.
    waits
        Is called once if there is somebody to wait for, with the words for it: `process 123, since 14:02`.
    stopped
        Ends the waiting, and the block is entered without the claim.
    """
    file = _file(cache_folder, key)
    told = False

    def pause() -> bool:
        nonlocal told
        if not told:
            told = True
            waits(_holder(file))
        time.sleep(_PAUSE)
        return not stopped()

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = hold_when_free(file, pause, alone=alone)
    except OSError:
        handle = None
    if handle is None:
        yield False
        return
    try:
        _sign(handle)
        yield True
    finally:
        if alone:
            file.unlink(missing_ok=True)
        os.close(handle)


def experiment_key(tracking_uri: str, name: str) -> tuple[str, str, str]:
    """Give the key that is held, with others, while an experiment of this name runs."""
    return "experiment", tracking_uri, name


def _file(cache_folder: Path, key: Sequence[str]) -> Path:
    return claims_home(cache_folder) / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:40]}.lock"


def _sign(handle: int) -> None:
    """Say in the claim whose it is; where there is no room for that, nobody is told."""
    text = json.dumps({"process": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M")})
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)
    except OSError:
        return


def _holder(file: Path) -> str:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return f"process {said['process']}, since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
