"""What every log line says beside its message: the experiment, the backbone, the fold and the run it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Context = Mapping[str, str | int]

FIELDS = ("experiment", "backbone", "fold", "run_id")
"""What a context may hold, in the order in which it is written."""

_process: dict[str, str | int] = {}
_told: ContextVar[Context | None] = ContextVar("told", default=None)


def context() -> dict[str, str | int]:
    """Give what is known of the work that this thread does, by name, those of `FIELDS` that are known."""
    known = _process | dict(_told.get() or {})
    return {name: known[name] for name in FIELDS if name in known}


@contextmanager
def told(**fields: str | int | None) -> Iterator[None]:
    """Say what the block is about, beside what is said already; other threads than those started from it do not see it.

    Parameters
    ----------
    **fields : str, int or None
        Some of `FIELDS`; None and the empty text stand for what is not known.
    """
    token = _told.set({**(_told.get() or {}), **_known(fields)})
    try:
        yield
    finally:
        _told.reset(token)


def tell_process(**fields: str | int | None) -> None:
    """Say what this whole process is about from now on, in all its threads; replaces what was said of it before."""
    _process.clear()
    _process.update(_known(fields))


def prefix() -> str:
    """Give the context in words for the front of a message, such as `faces vgg16/0: `; empty where nothing is known."""
    known = context()
    cell = "/".join(str(known[name]) for name in ("backbone", "fold") if name in known)
    said = " ".join(part for part in (str(known.get("experiment", "")), cell) if part)
    return f"{said}: " if said else ""


def _known(fields: Mapping[str, str | int | None]) -> dict[str, str | int]:
    if strange := set(fields) - set(FIELDS):
        raise ValueError(f"a log line has no field {', '.join(sorted(strange))}; it has {', '.join(FIELDS)}")
    return {name: value for name, value in fields.items() if value is not None and value != ""}
