"""What subgroup each image belongs to, by a column of the manifest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.dataset.labels import BLANKS

MOST_NUMBERS = 8
"""A column with more different numbers than this is cut into ranges."""

MOST_VALUES = 30
"""Of a column with more different values, the commonest ones are told."""

_RANGES = 4


def subgroup_values(column: pd.Series[str]) -> NDArray[np.object_]:
    """Give each image's subgroup, of shape (n_images,): a text, or None where nothing is known.

    A column of more than `MOST_NUMBERS` different numbers is cut at its quartiles into ranges, such as `31 to 45`, with
    both ends within; in all others each value is a subgroup of its own.

    Parameters
    ----------
    column
        Texts or numbers; blank cells, as `labels.BLANKS` has them, and missing ones say nothing.
    """
    cells = ["" if value is None or value != value else str(value).strip() for value in column]
    texts = [None if cell in BLANKS else cell for cell in cells]
    known = np.array([text is not None for text in texts], dtype=bool)
    numbers = pd.to_numeric(pd.Series(texts, dtype=object)[known], errors="coerce").to_numpy(dtype=np.float64)
    values = np.array(texts, dtype=object)
    if np.isfinite(numbers).all() and len(np.unique(numbers)) > MOST_NUMBERS:
        values[known] = _ranges(numbers)
    return values


def _ranges(numbers: NDArray[np.float64]) -> list[str]:
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _RANGES + 1)[1:-1]))
    place = np.searchsorted(edges, numbers, side="left")
    within = [numbers[place == own] for own in range(len(edges) + 1)]
    names = ["" if not len(part) else _range(float(part.min()), float(part.max())) for part in within]
    return [names[own] for own in place]


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
