"""What the cache holds that has not been used for long."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.dataset.sources.mirror import mirror_folders, remove_mirror
from tasks.dataset.store import ArrayStore
from tasks.upkeep.found import Left, last_used

LEAST_SECONDS = 3600
"""What was used within the last hour stays, whatever is asked for: a process may be at work with it."""

ARRAY, FETCHED, TABLES, COPIES, FIT = "stored arrays", "fetched data", "tables of plans", "copies of artifacts", "fits"


def unused(home: Path, now: float, seconds: float) -> list[Left]:
    """Give everything in the cache, with what keeps it: all but what has not been used for so many seconds.

    Parameters
    ----------
    home
        foldcam's own store.
    now
        The time, in seconds since 1970.
    seconds
        The age from which on things go.
    """
    limit = now - max(seconds, LEAST_SECONDS)
    return [_judged(left, limit, now) for left in (*_arrays(home), *_folders(home), *_fetched(home))]


def _judged(left: Left, limit: float, now: float) -> Left:
    if left.used <= limit:
        return left
    days = max(0, int((now - left.used) // 86400))
    return Left(left.what, left.path, left.used, f"used {days} {'day' if days == 1 else 'days'} ago")


def _arrays(home: Path) -> Iterator[Left]:
    store = ArrayStore(home / "arrays", float("inf"))
    for file, used in store.files():
        yield Left(ARRAY, file, used, remove=partial(store.remove_unused, file))


def _folders(home: Path) -> Iterator[Left]:
    for what, pattern in ((TABLES, "plans/*"), (COPIES, "artifacts/*"), (FIT, "fits/*.npz")):
        for path in sorted(home.glob(pattern)):
            yield Left(what, path, last_used(path))


def _fetched(home: Path) -> Iterator[Left]:
    for folder, used in mirror_folders(home / "remote"):
        yield Left(FETCHED, folder, used, remove=partial(remove_mirror, folder))
