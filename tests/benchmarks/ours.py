"""What foldcam does in a worker, without the orchestration and the log: one process, one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from tasks.backbones.build import build_model
from tasks.evaluation.metrics import score
from tasks.explanation.gradcam import GradCam
from tasks.explanation.predictions import Predicted
from tasks.training.session import derived_seed
from tasks.workers import fold_run
from tasks.workers.order import Material, Order, read_material
from tests.benchmarks.agree import scaled


def sweep(order: Order, begin: Callable[[], None]) -> dict[str, np.ndarray]:
    """Train, evaluate and explain a backbone on every fold, in a warm worker with a cold cache.

    Gives, by row: `probabilities`, `maps` (each divided by its maximum); and `losses`, a row a fold, of validation.
    """
    fold_run.warm_up(1, order.experiment["deterministic"])
    tf.reduce_sum(tf.zeros(8)).numpy()
    begin()
    material = read_material(order)
    n_folds = int(material.fold_of_row.max()) + 1
    found = [_fold_run(order, material, fold) for fold in range(n_folds)]
    place = np.argsort(np.concatenate([predicted.rows for predicted, _ in found]))
    return {
        "probabilities": np.concatenate([predicted.probabilities for predicted, _ in found])[place],
        "maps": scaled(np.concatenate([predicted.maps for predicted, _ in found]))[place],
        "losses": np.stack([losses for _, losses in found]),
    }


def _fold_run(order: Order, material: Material, fold: int) -> tuple[Predicted, np.ndarray]:
    """Fit, predict and explain; gives the predictions and the validation losses."""
    rows = material.rows(fold)
    bench = fold_run.workshop.bench(material, order.backbone, fold, lambda _: None)
    history = bench.fitter.fit(
        bench.inputs.rows,
        material.manifest.y,
        rows.train,
        rows.validation,
        material.manifest.classes,
        seed=derived_seed(material.experiment.seed, order.backbone, fold, "fit"),
    )
    run = fold_run._Run(replace(order, fold=fold), material, rows, bench)
    return fold_run._predict(run).test, history["val/loss"].to_numpy()


def fold_runs(orders: list[Order]) -> dict[str, Any]:
    """Do the fold runs one after the other; gives when each ended, and the log loss of each fold's test images."""
    fold_run.warm_up(1, orders[0].experiment["deterministic"])
    ends, losses = [], {}
    for order in orders:
        material = read_material(order)
        predicted, _ = _fold_run(order, material, order.fold)
        figures = score(material.manifest.y[predicted.rows], predicted.probabilities, material.manifest.classes)
        losses[order.fold] = figures["log_loss"]
        ends.append(time.time())
    return {"ends": ends, "losses": losses}


def cam_of(backbone: str, size: int, n_outputs: int, *, from_features: bool = False) -> tuple[Any, GradCam]:
    """Give a backbone with random weights and its Grad-CAM, from images or from the activations of its CAM layer."""
    built = build_model(backbone, n_outputs=n_outputs, size=size, base_seed=1, head_seed=2)
    start = built.cam_layer if from_features else None
    return built, GradCam(built.model, built.cam_layer, start_layer=start)
