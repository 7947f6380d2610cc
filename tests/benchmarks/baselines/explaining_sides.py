"""Methods of explanation and their measures, timed in turn with plain passes in one warm process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from tasks.backbones.build import build_model
from tasks.config import Explanation
from tasks.explanation.building import build_method
from tasks.explanation.faithfulness import Plan, measure_faithfulness
from tasks.explanation.feature_maps import FeatureMaps
from tasks.explanation.gradcam import GradCam
from tasks.explanation.methods import METHODS
from tasks.explanation.sanity import randomisation_curve
from tasks.explanation.score_cam import BATCH as SCORE_CAM_BATCH
from tasks.explanation.stability import under_noise, under_shift
from tests.benchmarks.agree import scaled
from tests.benchmarks.baselines.gradcam_sides import N_CLASSES, batches, images_of, in_turn
from tests.benchmarks.baselines.plain_passes import HEAD_TIMES, IMAGE_BATCH, Passes, Theory, theory_of

MANY = ("scorecam", "smoothgrad", "integrated_gradients", "occlusion", "rise")
"""Methods that take an image after the other, and many passes for each."""

Side = tuple[str, Theory, int, Callable[[], Any]]
"""What is measured: its title, its theory, the number of images, and what does the work."""


def methods(backbone: str, size: int, n: int, repeats: int, options: dict[str, Any]) -> dict[str, Any]:
    """Give each method's rate and that of its theory, in images a second, once a repeat, and what both sides give."""
    images, settings = images_of(n, size).astype(np.float32), Explanation.model_validate(options)
    built = build_model(backbone, n_outputs=N_CLASSES, size=size, base_seed=1, head_seed=2)
    passes = Passes(built.model, built.cam_layer)
    plain = passes.sides(images, (IMAGE_BATCH, SCORE_CAM_BATCH))
    explain = {name: build_method(name, built.model, built.cam_layer, settings) for name in METHODS}
    of_a_channel = passes.trunk(images[:1])[0].reshape(-1, built.model.get_layer(built.cam_layer).output.shape[-1])
    channels = int((np.ptp(of_a_channel, axis=0) > 0).sum())
    counts = {
        "channels": min(channels, settings.scorecam.max_channels or channels),
        "patches": explain["occlusion"].n_passes - 1,
    }
    sides: list[Side] = [
        (
            METHODS[name].title,
            theory_of(name, settings, **counts),
            1 if name in MANY else n,
            partial(_explained, method, images[:1] if name in MANY else images),
        )
        for name, method in explain.items()
    ]
    feature_maps = FeatureMaps(built.model, [built.cam_layer])
    sides.append(("Feature maps", Theory(forward=1), n, partial(_activations, feature_maps, images)))
    results, measured = _measured(sides, plain, n, repeats)
    return measured | {
        "ours": {METHODS[name].title: results[METHODS[name].title][0][:1] for name in METHODS}
        | {"saliency": scaled(results["Saliency"][1])},
        "theirs": {METHODS[name].title: results[f"forward {IMAGE_BATCH}"][:1] for name in METHODS}
        | {"saliency": scaled(np.abs(results[f"both {IMAGE_BATCH}"]).max(axis=-1))},
    }


def measures(backbone: str, size: int, n: int, n_deleted: int, repeats: int) -> dict[str, Any]:
    """Give the rates of the measures of Grad-CAM's maps, as `methods` does, and how many passes each counted."""
    images, batch = images_of(n, size).astype(np.float32), SCORE_CAM_BATCH
    built = build_model(backbone, n_outputs=N_CLASSES, size=size, base_seed=1, head_seed=2)
    passes, cam, plan = Passes(built.model, built.cam_layer), GradCam(built.model, built.cam_layer), Plan(batch=batch)
    targets = cam(images)[0].argmax(axis=1)

    def maps() -> np.ndarray:
        return np.concatenate([cam(images[rows], targets[rows])[1] for rows in batches(np.arange(n), batch)])

    given = (images, targets, maps())
    some = (images[:n_deleted], given[2][:n_deleted], targets[:n_deleted])
    work: dict[str, tuple[int, Callable[[], Any]]] = {
        "Faithfulness": (n_deleted, lambda: measure_faithfulness(passes.forward, *some, plan)),
        "Sanity": (n, lambda: randomisation_curve(built.model, maps)),
        "Noise": (n, lambda: under_noise(cam, *given)),
        "Shift": (n, lambda: under_shift(cam, *given)),
    }
    stages = 1 + min(10, sum(bool(layer.weights) for layer in built.model.layers))
    theories = {"Faithfulness": Theory(forward=plan.passes_an_image, batch=batch)} | {
        name: Theory(forward=count, above=count, batch=batch)
        for name, count in (("Sanity", stages), ("Noise", 2), ("Shift", 2))
    }
    sides: list[Side] = [(name, theories[name], count, run) for name, (count, run) in work.items()]
    results, measured = _measured(sides, passes.sides(images, (batch,)), n, repeats)
    return measured | {
        "ours": {name: results[name].passes for name in work},
        "theirs": {name: work[name][0] * theories[name].forward for name in work},
    }


def _measured(
    sides: list[Side], plain: Mapping[str, Callable[[], np.ndarray]], n: int, repeats: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what each side gave, and each side's rates and the plain passes' seconds an image, once a repeat."""
    work = dict(plain) | {title: run for title, _, _, run in sides}
    *results, seconds = in_turn(repeats, **work)
    cpu = seconds["cpu"]
    images = {name: n * HEAD_TIMES if name.startswith("head") else n for name in plain}
    rounds = [{name: cpu[name][number] / count for name, count in images.items()} for number in range(repeats)]
    rates = {
        title: {
            "theory": str(theory),
            "ours": [count / taken for taken in cpu[title]],
            "theirs": [1 / theory.seconds(found) for found in rounds],
        }
        for title, theory, count, _ in sides
    }
    return dict(zip(work, results, strict=True)), {"rates": rates, "plain": rounds}


def _explained(method: Any, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = [method(part, None) for part in batches(images, IMAGE_BATCH)]
    return np.concatenate([p for p, _ in found]), np.concatenate([m for _, m in found])


def _activations(method: FeatureMaps, images: np.ndarray) -> list[dict[str, np.ndarray]]:
    return [method(part) for part in batches(images, IMAGE_BATCH)]
