"""What a model must give for images to be predicted by it, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pandas as pd

from tasks.dataset.pixels.images import Pixels
from tasks.dataset.pixels.shaping import Colour
from tasks.dataset.targets import Targets


class Predictor(Protocol):
    """A model that is ready to predict images."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def version(self) -> str | None:
        """Its version in the registry; None where it has none."""

    @property
    def fingerprint(self) -> str:
        """A text that no other model has."""

    @property
    def targets(self) -> Targets:
        """The classes, labels or grades."""

    @property
    def ground(self) -> Colour:
        """The colour behind transparency, RGB, 0 to 255."""

    @property
    def reference(self) -> pd.DataFrame | None:
        """What its training images look like, from `reference_statistics`; None where it does not know."""

    def predict(self, pictures: Sequence[Pixels], *, explain: bool) -> pd.DataFrame:
        """Give a row a picture.

        Parameters
        ----------
        pictures : sequence of ndarray of shape (height, width, 3), uint8, 0 to 255
            RGB, of any sizes.
        explain : bool
            Whether overlays are wanted.

        Returns
        -------
        DataFrame
            `label`, `probability` (of what is decided, 0 to 1) and `prob/<class>`; where the model has them also
            `prediction_set`, `abstains`, `output/<class>` (see `reference_statistics`) and `error` (why there is no
            answer; else None); with `explain` the column `overlay`, PNG files as bytes.
        """
