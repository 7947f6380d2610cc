"""Both sides of the rows on Grad-CAM, measured in turn in one warm process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.explanation.gradcam import GradCam
from tasks.training.session import configure
from tests.benchmarks.agree import scaled
from tests.benchmarks.baselines.study_gradcam import explain_one
from tests.benchmarks.material import pictures
from tests.benchmarks.ours import cam_of, timed

N_CLASSES = 4


def against_studies(backbone: str, size: int, n: int, repeats: int, batch: int) -> dict[str, Any]:
    """Images a second of our compiled call and of the studies' loop, and what both give."""
    images = images_of(n, size)
    built, cam = cam_of(backbone, size, N_CLASSES)
    activations = built.model.get_layer(built.cam_layer).output
    grad_model = keras.Model(built.model.inputs, [activations, built.model.get_layer("logits").output])

    def theirs() -> list[tuple[np.ndarray, np.ndarray]]:
        return [explain_one(built.model, grad_model, image) for image in images[:batch]]

    a, b, seconds = in_turn(repeats, ours=lambda: _ours(cam, images, batch), theirs=theirs)
    probabilities, maps = a
    return {
        "ours": {"probabilities": probabilities[:batch], "maps": scaled(maps[:batch])},
        "theirs": {"probabilities": np.stack([p for p, _ in b]), "maps": np.stack([m for _, m in b])},
        "rates": [[n / s for s in seconds["ours"]], [batch / s for s in seconds["theirs"]]],
    }


def against_forward(backbone: str, size: int, n: int, repeats: int, batch: int) -> dict[str, Any]:
    """Seconds an image of our compiled call, for one class and for all, and of a forward pass alone."""
    images = images_of(n, size)
    built, cam = cam_of(backbone, size, N_CLASSES)
    forward = _forward(built.model)
    every = _every_class(cam)
    (a, _), b, c, seconds = in_turn(
        repeats,
        ours=lambda: _ours(cam, images, batch),
        forward=lambda: np.concatenate([forward(part) for part in batches(images, batch)]),
        every_class=lambda: np.concatenate([every(part) for part in batches(images, batch)]),
    )
    one_by_one = np.stack([cam(images[:batch], np.full(batch, k))[1] for k in range(N_CLASSES)], axis=1)
    highest = one_by_one.max()
    return {
        "ours": {"probabilities": a},
        "theirs": {"probabilities": b},
        "every_class": {"maps": c[:batch] / highest},
        "one_by_one": {"maps": one_by_one / highest},
        "seconds": {name: [s / n for s in found] for name, found in seconds.items()},
    }


def from_features(backbone: str, size: int, n: int, repeats: int, batch: int) -> dict[str, Any]:
    """Seconds an image of our maps from activations, and of a forward pass from the images."""
    images = images_of(n, size)
    built, cam = cam_of(backbone, size, N_CLASSES, from_features=True)
    _, whole = cam_of(backbone, size, N_CLASSES)
    trunk = keras.Model(built.model.inputs[0], built.model.get_layer(built.cam_layer).output)
    features = _batched(_forward(trunk), images, batch)
    forward = _forward(built.model)
    times = 4

    def several() -> tuple[np.ndarray, np.ndarray]:
        for _ in range(times):
            found = _ours(cam, features, batch)
        return found

    a, b, seconds = in_turn(
        repeats,
        ours=several,
        forward=lambda: _batched(forward, images, batch),
    )
    expected = _ours(whole, images, batch)
    return {
        "ours": {"probabilities": a[0], "maps": scaled(a[1])},
        "theirs": {"probabilities": b, "maps": scaled(expected[1])},
        "seconds": {"ours": [s / n / times for s in seconds["ours"]], "forward": [s / n for s in seconds["forward"]]},
    }


def in_turn(repeats: int, **sides: Callable[[], Any]) -> tuple[Any, ...]:
    """Call each side once to warm up, then in turn on the clock; gives each side's result, and the seconds by name."""
    results = [side() for side in sides.values()]
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            seconds[name].append(timed(side)[1])
    return (*results, seconds)


def images_of(n: int, size: int) -> np.ndarray:
    configure(1, True)
    return pictures(n, size)


def _ours(cam: GradCam, inputs: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    found = [cam(part) for part in batches(inputs, batch)]
    return np.concatenate([p for p, _ in found]), np.concatenate([m for _, m in found])


def _forward(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
    compiled = tf.function(lambda x: model(x, training=False), input_signature=signature)
    return lambda images: compiled(images.astype(np.float32)).numpy()


def batches(inputs: np.ndarray, batch: int) -> list[np.ndarray]:
    return [inputs[start : start + batch] for start in range(0, len(inputs), batch)]


def _batched(forward: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch: int) -> np.ndarray:
    return np.concatenate([forward(part) for part in batches(images, batch)])


def _every_class(cam: GradCam) -> Callable[[np.ndarray], np.ndarray]:
    """Give maps of shape (n, n_classes, h, w): in one call where foldcam has one, else class by class."""
    if hasattr(cam, "every_class"):
        return lambda images: cam.every_class(images)[1]
    return lambda images: np.stack([cam(images, np.full(len(images), k))[1] for k in range(cam.n_outputs)], axis=1)
