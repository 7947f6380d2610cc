"""A model's methods of explanation, each built and compiled once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from tasks.config import Explanation
from tasks.explanation.building import build_method
from tasks.explanation.methods import get


class Explainers:
    """The methods of one model, by name.

    Parameters
    ----------
    model : keras.Model
        A flat model that ends in the layers `logits` and `probabilities`. What its weights become later, the methods
        explain.
    cam_layer : str
        The layer that CAM methods map where the settings name none.
    settings : Explanation
        The methods' options.
    class_scores : ndarray of shape (n_outputs, n_classes) or None
        See `tasks.explanation.cam_method.CamMethod`.
    features_layer : str or None
        The layer whose activations are kept for all images; None: only images are.
    seed : int
        For methods that draw at random.
    """

    def __init__(
        self,
        model: Any,
        cam_layer: str,
        settings: Explanation,
        *,
        class_scores: np.ndarray | None = None,
        features_layer: str | None = None,
        seed: int = 0,
    ) -> None:
        self._model, self._settings = model, settings
        self._cam_layer, self._scores, self._seed = cam_layer, class_scores, seed
        self._features_layer = features_layer
        self._built: dict[tuple[str, bool], Any] = {}

    def __call__(self, name: str) -> Any:
        """Give a method that takes images.

        Raises
        ------
        InputError
            The method does not go with the model, or its settings do not.
        """
        return self._method(name, None)

    def takes_features(self, name: str) -> bool:
        """Tell whether a method can start from the kept activations: those of the layer that it maps, or below it."""
        own_layer = self._settings.layer in (None, self._cam_layer)
        return self._features_layer is not None and own_layer and get(name).from_features

    def on_features(self, name: str) -> Any:
        """Give a method that takes the kept activations where it can (`takes_features`), else images.

        Raises
        ------
        InputError
            As in a call.
        """
        return self._method(name, self._features_layer if self.takes_features(name) else None)

    def layer(self, name: str) -> str:
        """Give the layer that a method maps; empty where it needs none."""
        return str(self.on_features(name).layers[0]) if get(name).needs_layer else ""

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Give what the whole model gives for images of shape (n, size, size, 3), of shape (n, n_outputs), float32."""
        return self._whole(np.asarray(images, dtype=np.float32))

    @cached_property
    def feature_maps(self) -> Any:
        """The `FeatureMaps` of the layers that `explanation.feature_maps` asks for; None where it asks for none.

        Raises
        ------
        InputError
            There is no such layer.
        """
        from tasks.explanation.feature_maps import asked_feature_maps

        asked = self._settings.feature_maps
        return asked_feature_maps(self._model, asked) if asked else None

    @cached_property
    def _whole(self) -> Callable[[np.ndarray], np.ndarray]:
        """A forward pass; that of a method which is built anyway and takes hardly more is not compiled once more."""
        import tensorflow as tf

        from tasks.explanation.cam_method import SlopeMethod

        for name in self._settings.methods if self._settings.layer is None else ():
            if isinstance(method := self(name), SlopeMethod):
                return lambda images: method(images, np.zeros(len(images), dtype=np.int32))[0]
        model = self._model
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
        compiled = tf.function(
            lambda images: tf.cast(model(images, training=False), tf.float32),
            input_signature=signature,
            autograph=False,
        )
        return lambda images: compiled(images).numpy()

    def _method(self, name: str, start: str | None) -> Any:
        key = (name, start is not None)
        if key not in self._built:
            self._built[key] = build_method(
                name,
                self._model,
                self._cam_layer,
                self._settings,
                class_scores=self._scores,
                start_layer=start,
                seed=self._seed,
            )
        return self._built[key]
