"""The served model (models from code): a batch of RGB arrays in, one probability a class out, or decisions.

MLflow copies this file into every logged model, and `shaping.py` and `outputs.py` lie beside the network there, so it
needs Keras, NumPy, pandas and Pillow, and nothing of foldcam's.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

BATCH = 32


class ImageClassifier(PythonModel):  # type: ignore[misc]
    """A Keras classifier with its pre-processing: shaped as in training, scaled inside the network."""

    def load_context(self, context: Any) -> None:
        """Read the network, what is to be known about it, and the code that training shaped and decided with."""
        import keras

        self.network = keras.models.load_model(context.artifacts["network"], compile=False)
        self.about = json.loads(Path(context.artifacts["about"]).read_text(encoding="utf-8"))
        self.shaping = _code(context.artifacts["shaping"])
        self.outputs = _code(context.artifacts["outputs"])
        steps = self.about["preprocessing"]
        self.how = self.shaping.Shaping(steps["resize"], tuple(steps["pad_color"]), steps["mask"])

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Give class probabilities, or what is decided from them.

        Parameters
        ----------
        context : PythonModelContext
            Unused: all was read in `load_context`.
        model_input : ndarray of shape (n_images, height, width, 3)
            RGB, 0 to 255; any height and width.
        params : dict, optional
            `decide`: whether to give decisions instead of probabilities.

        Returns
        -------
        DataFrame of shape (n_images, n_classes), float32, or (n_images, 1), str
            One column a class, label or grade, named as it: its probability; rows sum to 1, but where an image can
            have several labels. With `decide` the one column `predicted`, as in the fold run's predictions: the class
            or grade, or all labels whose probability reaches their thresholds. A grade need not be the likeliest one:
            it is the highest that the image reaches more likely than not.

        Raises
        ------
        ValueError
            The input is not a batch of RGB images in 0 to 255.
        """
        images = np.asarray(model_input)
        if images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"wanted RGB images of shape (n, height, width, 3), got an array of shape {images.shape}")
        if images.size and not (images.min() >= 0 and images.max() <= 255):
            raise ValueError(f"wanted values from 0 to 255, got {images.min()} to {images.max()}")
        parts = [
            self.network.predict_on_batch(np.stack([self._shaped(image) for image in images[i : i + BATCH]]))
            for i in range(0, len(images), BATCH)
        ]
        classes, kind = self.about["classes"], self.about["kind"]
        raw = np.concatenate(parts) if parts else np.empty((0, len(classes)))
        probabilities = self.outputs.class_probabilities(raw, kind)
        if not (params or {}).get("decide"):
            return pd.DataFrame(probabilities.astype(np.float32), columns=classes)
        decided = self.outputs.decide(probabilities, kind, self.about["thresholds"])
        return pd.DataFrame({"predicted": pd.Series([self._text(one) for one in decided], dtype=str)})

    def _shaped(self, image: np.ndarray) -> np.ndarray:
        rgb = np.rint(image).astype(np.uint8)
        return np.asarray(self.shaping.shape(rgb, self.about["size"], self.how), np.float32)

    def _text(self, decided: Any) -> str:
        """Give one decision as the data writes its labels."""
        classes = self.about["classes"]
        if self.about["kind"] != "multilabel":
            return str(classes[decided])
        labels = [label for label, has in zip(classes, decided, strict=True) if has]
        return self.about["separator"].join(labels) or self.about["none_label"] or ""


def _code(path: str) -> Any:
    """Load a module from its file alone, without giving it a name that others could import."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"the model's file {path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


set_model(ImageClassifier())
