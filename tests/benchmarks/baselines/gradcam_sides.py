"""Both sides of the rows on Grad-CAM, measured in turn in one warm process."""

from __future__ import annotations

import time
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
from tests.benchmarks.ours import cam_of

N_CLASSES = 4
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}


def against_studies(backbone: str, size: int, n: int, repeats: int, batch: int) -> dict[str, Any]:
    """Images a second of our compiled call and of the studies' loop, on either clock, and what both give.

    TensorFlow has the threads that it gives itself. Whether the base is frozen makes no difference to the studies'
    loop: Keras keeps that to itself, and the tape records all that TensorFlow's own variables take part in.
    """
    images = pictures(n, size)
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
        "rates": {
            clock: [[n / s for s in found["ours"]], [batch / s for s in found["theirs"]]]
            for clock, found in seconds.items()
        },
    }


def against_forward(
    backbone: str, size: int, n: int, repeats: int, batch: int, n_classes: int = N_CLASSES
) -> dict[str, Any]:
    """CPU seconds an image of our compiled call, for one class and for all, and of a forward pass alone."""
    images = images_of(n, size)
    built, cam = cam_of(backbone, size, n_classes)
    forward = _forward(built.model)
    (a, _), b, c, seconds = in_turn(
        repeats,
        ours=lambda: _ours(cam, images, batch),
        forward=lambda: _batched(forward, images, batch),
        every_class=lambda: _batched(lambda part: cam.every_class(part)[1], images, batch),
    )
    some = np.unique(np.linspace(0, n_classes - 1, N_CLASSES, dtype=int))
    one_by_one = np.stack([cam(images[:batch], np.full(batch, k))[1] for k in some], axis=1)
    highest = one_by_one.max()
    return {
        "ours": {"probabilities": a},
        "theirs": {"probabilities": b},
        "every_class": {"maps": c[:batch, some] / highest},
        "one_by_one": {"maps": one_by_one / highest},
        "seconds": {name: [s / n for s in found] for name, found in seconds["cpu"].items()},
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
        "seconds": {
            "ours": [s / n / times for s in seconds["cpu"]["ours"]],
            "forward": [s / n for s in seconds["cpu"]["forward"]],
        },
    }


def in_turn(repeats: int, **sides: Callable[[], Any]) -> tuple[Any, ...]:
    """Call each side once to warm up, then in turn on the clock.

    Gives each side's result, and the seconds by clock (`cpu`, `wall`) and side.
    """
    results = [side() for side in sides.values()]
    seconds: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in sides} for clock in CLOCKS}
    for _ in range(repeats):
        for name, side in sides.items():
            started = {clock: now() for clock, now in CLOCKS.items()}
            side()
            for clock, now in CLOCKS.items():
                seconds[clock][name].append(now() - started[clock])
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
