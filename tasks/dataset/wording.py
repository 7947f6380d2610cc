"""Small helps for plain messages: shortened lists, nearest names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


def listed(items: Iterable[object], limit: int = 5) -> str:
    """Return the items in one line with commas; beyond `limit`, the number that is left out."""
    texts = [on_one_line(str(item)) for item in items]
    shown = ", ".join(texts[:limit])
    left = len(texts) - limit
    return f"{shown} and {left} more" if left > 0 else shown


def on_one_line(text: str) -> str:
    """Return the text with line breaks and other control characters as they are written in programs."""
    return text if text.isprintable() else "".join(x if x.isprintable() else ascii(x)[1:-1] for x in text)


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return the number with its noun: `1 image`, `3 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """Return a share in whole percent: `38 %`; what is not 0 is never told as 0: `below 1 %`."""
    return "below 1 %" if 0 < share <= 0.005 else f"{100 * share:.0f} %"


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the known name most like `name`, without regard to case, or None if none is like it."""
    by_folded = {other.casefold(): other for other in known}
    found = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.5)
    return by_folded[found[0]] if found else None


def nearest_sibling(path: Path) -> str:
    """Return a half sentence that names the entry most like the missing `path`, or nothing if there is none.

    Climbs to the lowest folder that exists, so that a slip high up in the path is found too.
    """
    missing = path
    try:
        while not missing.parent.is_dir() and missing.parent != missing:
            missing = missing.parent
        known = sorted(entry.name for entry in missing.parent.iterdir() if entry.name != missing.name)
    except OSError:
        return ""
    like = nearest(missing.name, known)
    return f"; the nearest name there is {missing.parent / like}" if like else ""
