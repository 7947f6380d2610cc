"""The fold models of one backbone as one network whose weights change: they share most of them, and all the code.

Needs Keras with TensorFlow and NumPy and nothing of foldcam's, so that this very file travels with the champion.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENDING = ".keras"
LOGITS = "logits"


class Network:
    """The fold models of a backbone, one at a time.

    Parameters
    ----------
    folder, name
        Where `network_files.write_networks` wrote them, and the backbone.
    cam_layer : str
        The layer that Grad-CAM weighs.
    """

    def __init__(self, folder: Path, name: str, cam_layer: str) -> None:
        import keras

        self._model = keras.models.load_model(folder / f"{name}{ENDING}", compile=False)
        self._model.trainable = False
        self._variables = list(self._model.weights)
        self._changes: list[dict[int, NDArray[Any]]] = []
        while (part := folder / f"{name}.{len(self._changes)}.npz").is_file():
            with np.load(part, allow_pickle=False) as found:
                self._changes.append({int(key): found[key] for key in found.files})
        self._place: int | None = None
        self._cam_layer = cam_layer
        self._forward: Any = None
        self._explain: Any = None

    def outputs(self, place: int, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return what one fold's model gives, of shape (n_images, n_outputs), for squares in 0 to 255, float32."""
        self._use(place)
        if self._forward is None:
            self._forward = _forward_of(self._model)
        return np.asarray(self._forward(images))

    def maps(
        self, place: int, images: NDArray[Any], targets: NDArray[Any], class_scores: NDArray[Any]
    ) -> NDArray[np.float32]:
        """Return one fold's raw Grad-CAM maps of these classes, of shape (n_images, h, w), 0 or more.

        Selvaraju et al. (2017), equations 1 and 2, of the column of `logits @ class_scores` that each target names.
        """
        self._use(place)
        if self._explain is None:
            self._explain = _explain_of(self._model, self._cam_layer)
        scores = np.asarray(class_scores, np.float32)
        return np.asarray(self._explain(images, np.asarray(targets, np.int64), scores))

    def _use(self, place: int) -> None:
        if place != self._place:
            self._place = None  # unknown while weights of two folds are mixed
            for number, value in self._changes[place].items():
                self._variables[number].assign(value)
            self._place = place


def _forward_of(model: Any) -> Any:
    import tensorflow as tf

    def forward(images: Any) -> Any:
        return tf.cast(model(images, training=False), tf.float32)

    return tf.function(forward, input_signature=[_squares(model)], autograph=False)


def _explain_of(model: Any, cam_layer: str) -> Any:
    import keras
    import tensorflow as tf

    both = keras.Model(model.inputs, [model.get_layer(cam_layer).output, model.get_layer(LOGITS).output])

    def explain(images: Any, targets: Any, class_scores: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            activations, logits = both(images, training=False)
            speaks = tf.gather(tf.cast(logits, tf.float32) @ class_scores, targets, batch_dims=1)
        slopes = tf.cast(tape.gradient(speaks, activations), tf.float32)
        weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * tf.cast(activations, tf.float32), axis=-1))

    n_classes = model.outputs[0].shape[-1]
    signature = [
        _squares(model),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((n_classes, n_classes), tf.float32),
    ]
    return tf.function(explain, input_signature=signature, autograph=False)


def _squares(model: Any) -> Any:
    import tensorflow as tf

    return tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32)
