"""Homes of Prefect servers of tests' own: making their databases takes seconds, copying them does not."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.isolation import SCRATCH

EMPTY = SCRATCH / "empty-prefect.db"


def keep_empty_prefect() -> None:
    """Copy the database of the session's server, in which nothing has run yet."""
    with closing(sqlite3.connect(SCRATCH / "prefect" / "prefect.db")) as own, closing(sqlite3.connect(EMPTY)) as copy:
        own.backup(copy)


def prefect_home(folder: Path) -> str:
    """Make the home of a server in which nothing has run yet; the fixture `prefect_api` has to be there."""
    folder.mkdir(parents=True)
    shutil.copy(EMPTY, folder / "prefect.db")
    return str(folder)
