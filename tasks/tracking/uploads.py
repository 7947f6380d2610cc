"""Uploads a folder file by file."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

AT_A_TIME = 4
"""Files that are uploaded side by side: each is a request of its own, most of whose time is waiting."""


def send_folder(folder: Path, send: Callable[[str, str | None], object], place: str | None = None) -> None:
    """Upload what lies in a folder, each file in a call of its own: what has to be sent again is one file, not all.

    MLflow's own calls for a folder leave a file cut short where a local disk is full.

    Parameters
    ----------
    folder
        Its content is put at `place`, not the folder itself.
    send
        Uploads a file to an artifact folder, None for the uppermost.
    place
        The artifact folder.

    Raises
    ------
    MlflowException
        A file is refused; those that have not been begun by then are left out.
    Unfinished
        The store cannot be reached.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    with ThreadPoolExecutor(AT_A_TIME) as senders:
        sent = [senders.submit(copy_context().run, send, str(file), _place_of(file, folder, place)) for file in files]
        try:
            for own in sent:
                own.result()
        except BaseException:
            senders.shutdown(wait=False, cancel_futures=True)
            raise


def _place_of(file: Path, folder: Path, place: str | None) -> str | None:
    parts = [*([place] if place else []), *file.parent.relative_to(folder).parts]
    return "/".join(parts) or None
