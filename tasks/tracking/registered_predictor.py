"""Predicts by a registered champion, in this process."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from mlflow import pyfunc

from tasks.config import InputError
from tasks.dataset.pixels.images import Pixels
from tasks.dataset.pixels.shaping import Colour
from tasks.dataset.targets import Targets
from tasks.tracking.models import RecordedModel

NETWORKS, REFERENCE = "networks", "reference"
ONE_FOLD = "one_fold"


class RegisteredPredictor:
    """A champion that is ready to predict images.

    Parameters
    ----------
    recorded : RecordedModel
        Where it lies.
    batch_size : int
        Images that go through its networks at once.

    Raises
    ------
    InputError
        It cannot be loaded.
    """

    def __init__(self, recorded: RecordedModel, batch_size: int) -> None:
        logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)
        try:
            loaded = pyfunc.load_model(str(recorded.folder))
            self._model: Any = loaded.unwrap_python_model()
            about: dict[str, Any] = self._model.about
            self.targets = Targets(
                tuple(about["classes"]), about["kind"], about.get("separator") or " ", about.get("none_label")
            )
            red, green, blue = about["preprocessing"]["transparency_color"]
        except Exception as fault:  # whatever a damaged folder, or another version of a library, makes of loading
            said = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
            raise InputError(
                f"--model: {recorded.title} cannot be loaded from {recorded.folder}: {said.rstrip('.')}. Register it "
                "again with `foldcam run`."
            ) from fault
        self.title, self.version = recorded.title, recorded.version
        self.fingerprint = hashlib.sha256((recorded.folder / "MLmodel").read_bytes()).hexdigest()
        self.ground: Colour = (red, green, blue)
        self._batch_size = batch_size
        self.reference = _reference(recorded.folder)
        params = loaded.metadata.get_params_schema()
        self._one_fold = (
            self.reference is not None and params is not None and ONE_FOLD in {p.name for p in params.params}
        )

    def predict(self, pictures: Sequence[Pixels], *, explain: bool) -> pd.DataFrame:
        """Give a row a picture, as `champion_model.Champion.predict` does.

        Parameters
        ----------
        pictures : sequence of ndarray of shape (height, width, 3), uint8, 0 to 255
            RGB, of any sizes; one or more.
        explain : bool
            Whether there is the column `overlay`, PNG files as bytes.

        Returns
        -------
        DataFrame
            Prediction sets are texts: JSON lists.
        """
        asked = {"on_error": "row", "batch_size": self._batch_size, "explain": explain}
        if self._one_fold:
            asked[ONE_FOLD] = True
        found: pd.DataFrame = self._model.predict(None, pd.DataFrame({"image": list(pictures)}), asked)
        if "overlay" in found:
            found["overlay"] = [base64.b64decode(text) if isinstance(text, str) else None for text in found["overlay"]]
        found["prediction_set"] = [
            json.dumps(one, ensure_ascii=False) if isinstance(one, list) else None for one in found["prediction_set"]
        ]
        return found


def is_champion(folder: Path) -> bool:
    """Tell whether a model's folder holds a champion: several networks, and not that of one fold run."""
    try:
        flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
        return NETWORKS in flavors[pyfunc.FLAVOR_NAME]["artifacts"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return False


def _reference(folder: Path) -> pd.DataFrame | None:
    flavor = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"][pyfunc.FLAVOR_NAME]
    place = flavor["artifacts"].get(REFERENCE)
    return None if place is None else pd.read_parquet(folder / place["path"])
