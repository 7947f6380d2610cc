"""Which font of this machine has the letters of a text."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry


def visible(text: str) -> frozenset[str]:
    """Give the letters of a text that leave ink."""
    return frozenset(letter for letter in text if letter.isprintable() and not letter.isspace())


@lru_cache(maxsize=4096)
def font_file(letters: frozenset[str], bold: bool = False) -> str:
    """Give the file of a font that has these letters, or that of DejaVu Sans where it has them all or none has."""
    from matplotlib import get_data_path

    usual = str(Path(get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"))
    wanted = frozenset(map(ord, letters))
    if wanted <= _letters_of(usual):
        return usual
    from matplotlib.font_manager import fontManager, weight_dict

    def suits(entry: FontEntry) -> tuple[bool, bool, bool, str]:
        weight = entry.weight if isinstance(entry.weight, int) else weight_dict.get(entry.weight, 400)
        return entry.style != "normal", "Sans" not in entry.name, (weight >= 600) != bold, entry.fname

    # The last resort has a sign for every letter there is, the same one for all of a script.
    files = (entry.fname for entry in sorted(fontManager.ttflist, key=suits) if "Last Resort" not in entry.name)
    return next((file for file in files if wanted <= _letters_of(file)), usual)


@lru_cache(maxsize=512)
def _letters_of(file: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
