"""Takes secrets out of texts that people and log stores read."""

from __future__ import annotations

import os
import re

HIDDEN = "***"

_NAMES = re.compile(
    r"PASSWORD|PASSPHRASE|SECRET|TOKEN|AUTH_STRING|(API|ACCESS|ACCOUNT|STORAGE)_KEY|CONNECTION_STRING|CREDENTIALS?$",
    re.IGNORECASE,
)
_SHORTEST = 6
"""Shorter values stand in harmless texts by chance."""
_IN_ADDRESS = re.compile(r"(?<=://)[^\s/@:]*:[^\s/]*(?=@)")
_IN_HEADER = re.compile(r"(?i)\b(basic|bearer)\s+[a-z0-9+/_.=-]{8,}")


def redacted(text: str) -> str:
    """Give a text without secrets: what is hidden is shown as `***`.

    Secrets are the values of environment variables whose names say so (such as `MLFLOW_TRACKING_PASSWORD`), a user and
    password inside an address, and what follows `Basic` or `Bearer`.
    """
    for value in _values():
        text = text.replace(value, HIDDEN)
    text = _IN_ADDRESS.sub(HIDDEN, text)
    return _IN_HEADER.sub(lambda found: f"{found[1]} {HIDDEN}", text)


def _values() -> list[str]:
    found = {part for name, value in os.environ.items() if _NAMES.search(name) for part in (value, _password(value))}
    return sorted((value for value in found if len(value) >= _SHORTEST), key=len, reverse=True)


def _password(value: str) -> str:
    """Give what stands behind the colon of `user:password`."""
    return value.partition(":")[2]
