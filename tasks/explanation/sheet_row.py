"""An image as sheets of pictures show it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WORDS = ("true", "predicted")
"""What stands before the labels of an image where nothing else is said."""


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One explained image.

    `image` is the original picture and `overlay` the same with its map (None: it has none), both uint8 RGB of shape
    (h, w, 3) and of any size; `seen`, where it is to be shown, is the square that the network takes. `true` and
    `predicted` are labels in the order of the classes, one or more. `probability` (0 to 1, NaN where it is not known)
    is that of the label that the map is for: `explained`, or the predicted one where that is None. `remark` is what is
    written over the overlay, such as that its map shows nothing. `words` stand before the two labels; where these are
    not a true and a predicted one, the row is marked neither as right nor as wrong.
    """

    image: np.ndarray
    overlay: np.ndarray | None
    name: str
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    probability: float
    fold: int | None = None
    explained: str | None = None
    seen: np.ndarray | None = None
    remark: str = ""
    words: tuple[str, str] = WORDS

    @property
    def right(self) -> bool:
        """Whether the predicted labels are the true ones."""
        return self.true == self.predicted

    @property
    def outcome(self) -> bool | None:
        """What the row is marked as: right, wrong, or None for neither."""
        return self.right if self.words == WORDS else None

    @property
    def certainty(self) -> str:
        """The probability in words, after the label that is explained where that is not the predicted one."""
        percent = _percent(self.probability)
        return percent if self.explained is None else f"{self.explained} · {percent}"


def _percent(probability: float) -> str:
    """Give a probability in words; what is not 0 or 1 is never told as 0 or 100 %."""
    if math.isnan(probability):
        return "not known"
    if probability <= 0.005:
        return "below 1 %" if probability > 0 else "0 %"
    return f"{100 * probability:.0f} %" if probability < 0.995 else f"{math.floor(1000 * probability) / 10:.1f} %"
