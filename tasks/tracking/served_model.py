"""The served model (models from code): a batch of RGB arrays in, one probability a class out.

MLflow copies this file into every logged model, so it needs Keras, NumPy, pandas and Pillow, and nothing of foldcam's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from PIL import Image

BATCH = 32


class ImageClassifier(PythonModel):  # type: ignore[misc]
    """A Keras classifier with its pre-processing: resized as in training, scaled inside the network."""

    def load_context(self, context: Any) -> None:
        """Read the network and the class names from the logged files."""
        import keras

        self.network = keras.models.load_model(context.artifacts["network"], compile=False)
        about = json.loads(Path(context.artifacts["about"]).read_text(encoding="utf-8"))
        self.classes: list[str] = about["classes"]
        self.size: int = about["size"]

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Give class probabilities.

        Parameters
        ----------
        context : PythonModelContext
            Unused: all was read in `load_context`.
        model_input : ndarray of shape (n_images, height, width, 3)
            RGB, 0 to 255; any height and width.
        params : dict, optional
            Unused.

        Returns
        -------
        DataFrame of shape (n_images, n_classes)
            One column a class, named as the class; rows sum to 1.

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
            self.network.predict_on_batch(np.stack([self._resized(image) for image in images[i : i + BATCH]]))
            for i in range(0, len(images), BATCH)
        ]
        probabilities = np.concatenate(parts) if parts else np.empty((0, len(self.classes)), np.float32)
        return pd.DataFrame(probabilities, columns=self.classes)

    def _resized(self, image: np.ndarray) -> np.ndarray:
        rgb = np.rint(image).astype(np.uint8)
        if rgb.shape[:2] != (self.size, self.size):
            rgb = np.asarray(Image.fromarray(rgb).resize((self.size, self.size), Image.Resampling.BILINEAR))
        return np.asarray(rgb, np.float32)


set_model(ImageClassifier())
