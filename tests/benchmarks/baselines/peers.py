"""Grad-CAM of other libraries, called as their documentation shows, on a model whose output are the logits.

Each gets what makes it fastest: batches, and the map at its own small size where it can give that. None of them gives
predictions, so these come from `model.predict`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.benchmarks.agree import scaled
from tests.benchmarks.baselines.gradcam_sides import N_CLASSES, batches, images_of, in_turn
from tests.benchmarks.ours import cam_of

Explain = Callable[[np.ndarray], np.ndarray]


def against_peer(backbone: str, peer: str, folder: str, size: int, n: int, repeats: int, batch: int) -> dict[str, Any]:
    """Images a second of our compiled call and of the library's, and what both give, the maps for one class."""
    images = images_of(n, size)
    built, cam = cam_of(backbone, size, N_CLASSES)
    logits = keras.Model(built.model.inputs, built.model.get_layer("logits").output)
    sys.path.append(folder)
    target = int(cam(images[:1])[0].argmax())
    known = {"tf_keras_vis": _tf_keras_vis, "xplique": _xplique, "tf_explain": _tf_explain}
    explain = known[peer](logits, built.cam_layer, target)

    def ours() -> tuple[np.ndarray, np.ndarray]:
        found = [cam(part, np.full(len(part), target)) for part in batches(images, batch)]
        return np.concatenate([p for p, _ in found]), np.concatenate([m for _, m in found])

    def predictions() -> np.ndarray:
        return np.asarray(built.model.predict(images, batch_size=batch, verbose=0))

    def maps() -> np.ndarray:
        return np.concatenate([explain(part.astype(np.float32)) for part in batches(images, batch)])

    (a, b), c, d, seconds = in_turn(repeats, ours=ours, predictions=predictions, maps=maps)
    if d.shape[1:3] != b.shape[1:3]:
        b = tf.image.resize(b[..., None], d.shape[1:3], method="bicubic").numpy()[..., 0]
    cpu = seconds["cpu"]
    both = [p + m for p, m in zip(cpu["predictions"], cpu["maps"], strict=True)]
    return {
        "ours": {"probabilities": a, "maps": scaled(b)},
        "theirs": {"probabilities": c, "maps": scaled(d)},
        "rates": [[n / s for s in cpu["ours"]], [n / s for s in both]],
        "maps alone": [n / s for s in cpu["maps"]],
    }


def _tf_keras_vis(model: Any, layer: str, target: int) -> Explain:
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    explainer = Gradcam(model)

    def explain(images: np.ndarray) -> np.ndarray:
        score = CategoricalScore([target] * len(images))
        options = {"seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False}
        return np.asarray(explainer(score, images, penultimate_layer=layer, **options))

    return explain


def _xplique(model: Any, layer: str, target: int) -> Explain:
    from xplique.attributions import GradCAM

    explainer = GradCAM(model, batch_size=8, conv_layer=layer)

    def explain(images: np.ndarray) -> np.ndarray:
        targets = np.eye(N_CLASSES, dtype=np.float32)[np.full(len(images), target)]
        return np.asarray(explainer.explain(images, targets))[..., 0]

    return explain


def _tf_explain(model: Any, layer: str, target: int) -> Explain:
    from tf_explain.core.grad_cam import GradCAM

    def explain(images: np.ndarray) -> np.ndarray:
        outputs, gradients = GradCAM.get_gradients_and_filters(model, images, layer, target, use_guided_grads=False)
        maps = GradCAM.generate_ponderated_output(outputs, gradients)
        return np.maximum(np.stack([found.numpy() for found in maps]), 0)

    return explain
