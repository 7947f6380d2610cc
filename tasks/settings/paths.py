"""Paths and addresses of the experiment file, as far as they can be judged before anything is opened."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from tasks.settings.base import holds_controls

SECRET = "secret"
"""The type of the error about a value that must not be shown."""

_PASSWORD = re.compile(r"(?<!github)://[^/@:]*:(?![0-9]+(/|$))[^@]*@|https?://[^/@]*@")
_SIGNATURE = re.compile(r"[?&][^=&]*(sig|token|key|secret|passw|credential|auth)[^=&]*=", re.IGNORECASE)
_SCHEME = re.compile("[a-zA-Z][a-zA-Z0-9+.-]+:/")
_LONGEST_NAME, _LONGEST_PATH = 255, 4096


def holds_secret(text: str) -> bool:
    """Return whether an address in a text holds a password, a user of a web server, or a signature."""
    return bool(_PASSWORD.search(text) or _SIGNATURE.search(text))


def checked_address(value: str) -> str:
    """Give an address as it is.

    Raises
    ------
    PydanticCustomError
        If it holds a password or a signature, which would get into logs and records.
    ValueError
        If it holds what no file name does.
    """
    if holds_secret(value):
        raise PydanticCustomError(
            SECRET,
            "an address is written into logs and records, so it must hold no password, key or signature; give them "
            "where its driver looks: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE for s3://, "
            "GOOGLE_APPLICATION_CREDENTIALS for gs://, the file .netrc for https://",
        )
    _refuse_odd_letters(value)
    return value


def checked_path(value: Path) -> Path:
    """Give a path on this machine, with `~` unfolded.

    Raises
    ------
    PydanticCustomError
        If it is an address.
    ValueError
        If no file can have this path.
    """
    text = str(value)
    if _SCHEME.match(text):
        raise PydanticCustomError(
            SECRET, "a path on this machine is wanted, and this begins as an address; data.path takes those, with `://`"
        )
    _refuse_odd_letters(text)
    if len(text.encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in value.parts):
        raise ValueError(
            f"no file system takes a path of over {_LONGEST_PATH:,} bytes, or a name of over {_LONGEST_NAME} in it"
        )
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError(f"there is no user {value.parts[0].removeprefix('~')!r} whose folder that could be") from None


def _refuse_odd_letters(text: str) -> None:
    if holds_controls(text):
        raise ValueError("must not hold line breaks or other control characters")


LocalPath = Annotated[Path, AfterValidator(checked_path)]
"""A path on this machine that some file can have."""
