"""Where everything lies that foldcam keeps to save work."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """Return the folder of everything that foldcam keeps: `FOLDCAM_HOME`, or a folder in the user's cache."""
    if home := os.environ.get("FOLDCAM_HOME"):
        return Path(home).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("foldcam")


def remote_home() -> Path:
    """Return the folder of what is fetched from addresses."""
    return cache_home() / "remote"
