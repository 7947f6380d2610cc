"""One fold run, in a worker: fit, predict the test images once, explain, log."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.dataset.folds import FoldRows
from tasks.evaluation.metrics import score
from tasks.evaluation.plots import write_plots
from tasks.evaluation.tables import predictions_table
from tasks.explanation.fold_pictures import choose_explained, write_fold_pictures
from tasks.explanation.predictions import Predicted, predict_and_explain
from tasks.tracking.levels import EpochLog, flattened, fold_content
from tasks.tracking.writer import Writer
from tasks.training.fit import softmax
from tasks.training.session import configure, derived_seed
from tasks.workers.clock import Clock
from tasks.workers.order import Material, Order, read_material
from tasks.workers.workshop import Bench, Emit, Workshop

workshop = Workshop()
"""This process's own; it does one fold run at a time."""


def warm_up(threads: int, deterministic: bool) -> None:
    """Do what every job needs first: load TensorFlow and MLflow (with this module) and set TensorFlow up."""
    configure(threads, deterministic)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: to search it for garbage again and again takes a third of a second each


def compute_features(order: Order, emit: Emit) -> dict[str, Any]:
    """Compute a backbone's frozen features into the store, so that its fold runs find them.

    Returns
    -------
    dict
        `images`: how many lie in the store now, 0 where this backbone has nothing to keep; `trains_from` and, with
        features, `features_error`: what was chosen, in words.
    """
    material = read_material(order)
    bench = workshop.bench(material, order.backbone, order.fold, emit)
    return {"images": 0 if bench.inputs.start is None else len(bench.inputs.rows)} | bench.inputs.params


def run_fold(order: Order, emit: Emit) -> dict[str, Any]:
    """Do one fold run and log it to the MLflow run that the order names.

    Returns
    -------
    dict
        `metrics`: the test metrics; `seconds`: by step; `epochs`: how many were run.

    Raises
    ------
    InputError
        The weights, the size or another setting cannot be used.
    Diverged
        The loss became NaN.
    """
    emit({"state": "starting"})
    clock = Clock()
    with clock.step("prepare"):
        material = read_material(order)
        rows = material.rows(order.fold)
        bench = workshop.bench(material, order.backbone, order.fold, emit)
    writer = Writer(order.tracking_uri, order.run_id)
    with clock.step("train"):
        history = _fit(order, material, rows, bench, writer, emit)
    emit({"state": "evaluating"})
    with clock.step("evaluate"):
        predicted, holdout = _predict(material, rows, bench)
    with tempfile.TemporaryDirectory(prefix="foldcam-fold-") as scratch:
        folder = Path(scratch)
        emit({"state": "explaining"})
        with clock.step("explain"):
            title = f"{bench.built.spec.title} · fold {order.fold}"
            write_fold_pictures(
                folder / "explanations", material.manifest, material.experiment, predicted, fold=order.fold, title=title
            )
        with clock.step("plot"):
            metrics = _write_tables(folder, order, material, rows, history, predicted, holdout)
        emit({"state": "logging"})
        with clock.step("log"):
            bench.built.model.save(folder / "network.keras")
            content = fold_content(
                folder,
                metrics=metrics,
                seconds=clock.seconds | {"total": clock.total()},
                params=_params(order, material, rows, bench),
                classes=material.manifest.classes,
                size=bench.size,
                example=bench.images[rows.test[:2], ::4, ::4],
            )
            writer.write(content)
    return {"metrics": metrics, "seconds": clock.seconds | {"total": clock.total()}, "epochs": len(history)}


def _fit(order: Order, material: Material, rows: FoldRows, bench: Bench, writer: Writer, emit: Emit) -> pd.DataFrame:
    experiment, training = material.experiment, material.experiment.training_of(order.backbone)
    metric = experiment.metric
    log = EpochLog(writer)

    def report(epoch: int, row: dict[str, float]) -> None:
        log.add(epoch, row)
        state = {"state": "training", "epoch": epoch + 1, "epochs": training.epochs}
        emit(state | {"metric": metric, "value": row.get(f"val/{metric}")})

    try:
        return bench.fitter.fit(
            bench.inputs.rows,
            material.manifest.y,
            rows.train,
            rows.validation,
            material.manifest.classes,
            seed=derived_seed(experiment.seed, order.backbone, order.fold, "fit"),
            on_epoch=report,
        )
    finally:
        log.flush()


def _predict(material: Material, rows: FoldRows, bench: Bench) -> tuple[Predicted, Predicted]:
    """Predict the fold's test images, once, and the holdout's, whose predictions are only averaged over folds."""
    inputs, explained = bench.inputs, choose_explained(material.manifest, rows.test, material.experiment)

    def forward(batch: np.ndarray) -> np.ndarray:
        return softmax(bench.fitter.forward(inputs.rows[batch]))

    def explain(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return bench.cam(inputs.cam_rows[batch])

    n_classes = len(material.manifest.classes)
    test = predict_and_explain(forward, explain, rows.test, explained, n_classes)
    return test, predict_and_explain(forward, explain, rows.holdout, rows.holdout[:0], n_classes)


def _write_tables(
    folder: Path,
    order: Order,
    material: Material,
    rows: FoldRows,
    history: pd.DataFrame,
    predicted: Predicted,
    holdout: Predicted,
) -> dict[str, float]:
    """Write predictions, history and plots; give the test metrics."""
    classes, y = material.manifest.classes, material.manifest.y
    for name, part in (("predictions", predicted), ("holdout_predictions", holdout)):
        if len(part.rows):
            table = material.manifest.table.iloc[part.rows]
            predictions_table(
                table["path"].tolist(), table["sha256"].tolist(), order.fold, y[part.rows], part.probabilities, classes
            ).to_parquet(folder / f"{name}.parquet", index=False)
    history.to_csv(folder / "history.csv", index=False)
    roles = {"train": rows.train, "validation": rows.validation, "test": rows.test}
    counts = pd.DataFrame({role: np.bincount(y[part], minlength=len(classes)) for role, part in roles.items()})
    counts.index = pd.Index(classes, name="class")
    write_plots(folder / "plots", y[predicted.rows], predicted.probabilities, classes, history, counts)
    return score(y[predicted.rows], predicted.probabilities, classes)


def _params(order: Order, material: Material, rows: FoldRows, bench: Bench) -> dict[str, object]:
    experiment, built = material.experiment, bench.built
    model = experiment.model_of(order.backbone).model_dump(mode="json") | {"size": bench.size}
    return {
        "backbone": order.backbone,
        "fold": order.fold,
        **flattened(model, "model."),
        **flattened(experiment.training_of(order.backbone).model_dump(mode="json"), "training."),
        "seed": experiment.seed,
        "n_train": len(rows.train),
        "n_validation": len(rows.validation),
        "n_test": len(rows.test),
        "parameters": built.model.count_params(),
        "trainable_parameters": sum(int(np.prod(v.shape)) for v in built.model.trainable_variables),
        "weights_digest": built.weights_digest,
        "cam_layer": built.cam_layer,
        **bench.inputs.params,
    }
