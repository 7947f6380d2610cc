"""Predicts by one network: a fold run's model, a model file of anyone's, or a backbone with its own classes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from PIL import Image

from tasks.config import Explanation
from tasks.dataset.pixels.images import Pixels
from tasks.dataset.pixels.shaping import Colour
from tasks.dataset.targets import Targets
from tasks.explanation.asked import Asked
from tasks.explanation.building import in_colours
from tasks.explanation.explainable import Explainable
from tasks.explanation.overlays import overlay_of_square
from tasks.explanation.wanted import Methods

METHOD = "gradcam"


@dataclass(frozen=True, eq=False)
class NetworkPredictor:
    """A network that is ready to predict images.

    Attributes
    ----------
    subject : Explainable
        The network.
    fingerprint : str
        A text that no other model has.
    version : str or None
        Its version in the registry; None where it has none.
    reference : None
        Nothing is known of its training images.
    """

    subject: Explainable
    fingerprint: str
    version: str | None = None
    reference: pd.DataFrame | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return self.subject.title

    @property
    def targets(self) -> Targets:
        """The classes, labels or grades."""
        return self.subject.targets

    @property
    def ground(self) -> Colour:
        """The colour behind transparency."""
        return self.subject.ground

    def predict(self, pictures: Sequence[Pixels], *, explain: bool) -> pd.DataFrame:
        """Give a row a picture: `label`, `probability`, `prob/<class>`, and with `explain` the `overlay`.

        Parameters
        ----------
        pictures : sequence of ndarray of shape (height, width, 3), uint8, 0 to 255
            RGB, of any sizes; one or more.
        explain : bool
            Whether there is the column `overlay`, PNG files as bytes: Grad-CAM of the decided class; of several decided
            labels, of the first one.
        """
        squares = np.stack([self.subject.square(picture) for picture in pictures])
        probabilities = self.subject.predict(squares)
        decided = self._methods.decided(probabilities)
        columns: dict[str, object] = {
            "label": [one.text for one in decided],
            "probability": [one.probability for one in decided],
        }
        columns |= {f"prob/{label}": probabilities[:, place] for place, label in enumerate(self.targets.classes)}
        if explain:
            columns["overlay"] = self._overlays(pictures, squares, probabilities)
        return pd.DataFrame(columns)

    @cached_property
    def _methods(self) -> Methods:
        return Methods(self.subject, Asked(Explanation(methods=[METHOD])))

    def _overlays(self, pictures: Sequence[Pixels], squares: np.ndarray, probabilities: np.ndarray) -> list[bytes]:
        look = self._methods.asked.settings
        first = {target.image: target for target in reversed(self._methods.targets(probabilities))}
        overlays = [b""] * len(pictures)
        for found in self._methods.maps(METHOD, squares, list(first.values())):
            place = found.target.image
            heat = in_colours(METHOD, found.raw[None])[0]
            overlays[place] = _png(
                overlay_of_square(pictures[place], heat, self.subject.how, look.alpha, look.colormap)
            )
        return overlays


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
