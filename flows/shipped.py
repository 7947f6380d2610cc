"""Files of `infra/` that commands read: the source's, or the copy that an installed package brings along."""

from __future__ import annotations

from pathlib import Path

_COPY = Path(__file__).parent / "infra"
_SOURCE = Path(__file__).parents[1] / "infra"


def shipped(name: str) -> Path:
    """Give the place of a file or folder of `infra/`."""
    return (_COPY if _COPY.is_dir() else _SOURCE) / name
