"""What maps cannot show, whatever they are worth: coarse ones, and those that are blank."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from tasks.dataset.wording import percent

COARSE = "explain.coarse"
CODES = {COARSE: "maps that are too coarse to show where a model looks"}
"""The finding's stable code, and what it finds."""

LEAST_PLACES = 4
"""A map with fewer rows or columns is coarse: 3 x 3 places tell an edge from the middle, and no more."""

COARSE_ADVICE = (
    "Take larger pictures (model.size), a layer nearer to the picture (explanation.layer), or a method that needs no "
    "layer, such as occlusion or integrated_gradients."
)
"""What to do about coarse maps."""

_MANY = 0.1
_AVERAGED = (
    "Where the head weighs places differently, as behind a flattened layer, Grad-CAM can be blank or wrong, because it "
    "averages slopes over all places: there, try hirescam or layercam."
)


@dataclass(frozen=True)
class Limits:
    """What one method's maps cannot show.

    Attributes
    ----------
    rows, columns : int
        Resolution of a map as it is made; 0: not known.
    blank : float
        Share of the explained images whose map shows nothing, 0 to 1; NaN: not known.
    """

    rows: int = 0
    columns: int = 0
    blank: float = math.nan

    @property
    def coarse(self) -> bool:
        """Whether a map has fewer than `LEAST_PLACES` rows or columns."""
        return 0 < min(self.rows, self.columns) < LEAST_PLACES

    @property
    def size(self) -> str:
        """Rows and columns, as people read them."""
        return f"{self.rows} × {self.columns}"

    def told(self, method: str, *, doubted: bool) -> Iterator[str]:
        """Yield what must be told of a method's maps, as sentences; nothing where there is no need.

        Parameters
        ----------
        method : str
            Its name in the registry.
        doubted : bool
            Whether its maps did not pass a check.
        """
        if self.coarse:
            one = self.rows == self.columns == 1
            shows = "one place for the whole picture and shows nothing" if one else f"{self.size} places only"
            yield f"A map has {shows}."
        if self.blank > 0:
            share = percent(self.blank)
            yield f"{share[:1].upper()}{share[1:]} of the maps are blank."
        if method == "gradcam" and not self.coarse and (doubted or self.blank >= _MANY):
            yield _AVERAGED


UNKNOWN = Limits()
"""Where no map was kept."""


def limits_of(location: pd.DataFrame | None) -> dict[str, Limits]:
    """Give the limits of each method.

    Parameters
    ----------
    location : DataFrame or None
        What fold runs write as `location.parquet`, of one run or of several; nothing is known where it is None, or
        lacks `rows`, `columns` and `blank`, as earlier versions wrote it.
    """
    if location is None or not {"rows", "columns", "blank"} <= set(location):
        return {}
    return {
        str(name): Limits(int(part["rows"].min()), int(part["columns"].min()), float(part["blank"].mean()))
        for name, part in location.groupby("method", sort=False)
    }
