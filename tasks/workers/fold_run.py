"""One fold run, in a worker: fit, predict the test images once, explain, log."""

from __future__ import annotations

import gc
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.dataset.audit.class_counts import class_members
from tasks.dataset.folds.assignment import FoldRows
from tasks.evaluation.metrics import score
from tasks.evaluation.outputs import activated
from tasks.evaluation.plots import write_plots
from tasks.evaluation.tables import predictions_table
from tasks.explanation.fold_pictures import choose_explained
from tasks.explanation.predictions import Predicted, predict_and_explain
from tasks.tracking.epoch_log import EpochLog
from tasks.tracking.levels import flattened, fold_content
from tasks.tracking.outbox import head_of
from tasks.tracking.records import Params
from tasks.tracking.writer import Writer
from tasks.training.session import configure, derived_seed
from tasks.training.states import States
from tasks.workers.clock import Clock
from tasks.workers.decisions import Outcome, thresholds_of
from tasks.workers.fold_explained import explain_fold
from tasks.workers.fold_maps import FIRST_PASS, maps_while_predicting
from tasks.workers.fold_truth import NOTHING, Examined, examine
from tasks.workers.machine import processor
from tasks.workers.memory import PeakMemory
from tasks.workers.order import Material, Order, read_material
from tasks.workers.workshop import Bench, Emit, Workshop

workshop = Workshop()
"""This process's own; it does one fold run at a time."""


@dataclass(frozen=True)
class _Run:
    """What a fold run works with."""

    order: Order
    material: Material
    rows: FoldRows
    bench: Bench


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
        `metrics`: the test metrics; `seconds`: by step; `epochs`: how many were run; `resumed_from_epoch`: how many of
        them by an earlier process that was killed.

    Raises
    ------
    InputError
        The weights, the size or another setting cannot be used.
    Diverged
        The loss became NaN.
    """
    emit({"state": "starting"})
    clock, memory = Clock(), PeakMemory()
    with clock.step("prepare"):
        material = read_material(order)
        bench = workshop.bench(material, order.backbone, order.fold, emit)
        run = _Run(order, material, material.rows(order.fold), bench)
        writer = Writer(order.tracking_uri, order.run_id, head_of(order.details))
    with clock.step("train"):
        history, resumed = _fit(run, writer, emit)
    clock.add("train", float(history["seconds"][:resumed].sum()))
    emit({"state": "evaluating"})
    with clock.step("evaluate"):
        outcome = _predict(run)
    with tempfile.TemporaryDirectory(prefix="foldcam-fold-") as scratch:
        folder, explanations = Path(scratch), Path(scratch, "explanations")
        emit({"state": "explaining"})
        examined = _explain(explanations, run, outcome, clock)
        with clock.step("plot"):
            metrics = _write_tables(folder, run, history, outcome)
        emit({"state": "logging"})
        with clock.step("log"):
            bench.built.model.save(folder / "network.keras")
            content = fold_content(
                folder,
                metrics=metrics,
                explained=examined.logged(clock.total()),
                seconds=clock.seconds | {"total": clock.total()},
                peak_memory_mb=memory.megabytes(),
                params=_params(run, resumed) | outcome.threshold_params(material.manifest.classes),
                targets=material.manifest.targets,
                thresholds=[] if outcome.thresholds is None else outcome.thresholds.tolist(),
                preprocessing=material.experiment.data.preprocessing,
                size=bench.size,
                example=bench.images[run.rows.test[:2], ::4, ::4],
            )
            bench.check()
            writer.write(content)
    seconds = clock.seconds | {"total": clock.total()}
    return {"metrics": metrics, "seconds": seconds, "epochs": len(history), "resumed_from_epoch": resumed}


def _fit(run: _Run, writer: Writer, emit: Emit) -> tuple[pd.DataFrame, int]:
    """Fit the model, from where an earlier process was killed; give the history, and how many epochs were done then."""
    order, experiment, manifest = run.order, run.material.experiment, run.material.manifest
    epochs, metric = experiment.training_of(order.backbone).epochs, experiment.metric
    log = EpochLog(writer)
    resumed = 0

    def go_on(history: list[dict[str, float]]) -> None:
        nonlocal resumed
        resumed = len(history)
        writer.write([Params({"resumed_from_epoch": resumed})])
        for epoch, row in enumerate(history):
            log.add(epoch, row)

    def report(epoch: int, row: dict[str, float]) -> None:
        log.add(epoch, row)
        state = {"state": "training", "epoch": epoch + 1, "epochs": epochs}
        measured = {"seconds": row["seconds"], "images": len(run.rows.train)}
        emit(state | measured | {"metric": metric, "value": row.get(f"val/{metric}")})

    try:
        history = run.bench.fitter.fit(
            run.bench.inputs.rows,
            manifest.y,
            run.rows.train,
            run.rows.validation,
            manifest.classes,
            seed=derived_seed(experiment.seed, order.backbone, order.fold, "fit"),
            on_epoch=report,
            states=_states(run),
            on_resume=go_on,
        )
    finally:
        log.flush()
    return history, resumed


def _states(run: _Run) -> States | None:
    """Give where the fit's state is kept: for this fold run, on this kind of machine, and for this batch size only."""
    if not run.order.state_file:
        return None
    file, experiment = Path(run.order.state_file), run.material.experiment
    batch_size = experiment.training_of(run.order.backbone).batch_size
    identity = {"fingerprint": file.stem, "processor": processor(), "batch_size": str(batch_size)}
    return States(file, identity, experiment.cache.max_gb)


def _predict(run: _Run) -> Outcome:
    """Predict the fold's test images, once, the holdout's, which are only averaged over folds, and the validation's."""
    material, bench, rows = run.material, run.bench, run.rows
    kind, n_classes = material.manifest.targets.kind, len(material.manifest.classes)

    def forward(batch: np.ndarray) -> np.ndarray:
        return activated(bench.fitter.forward(bench.inputs.rows[batch]), kind)

    def explain(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        maps: tuple[np.ndarray, np.ndarray] = bench.explainers.on_features(FIRST_PASS)(bench.inputs.cam_rows[batch])
        return maps

    def predicted(part: np.ndarray, explained: np.ndarray) -> Predicted:
        return predict_and_explain(forward, explain, part, explained, kind=kind, n_classes=n_classes)

    at_once = maps_while_predicting(material.experiment, kind)
    explained = choose_explained(material.manifest, rows.test, material.experiment)
    test = predicted(rows.test, explained if at_once else explained[:0])
    holdout, validation = (predicted(part, part[:0]) for part in (rows.holdout, rows.validation))
    return Outcome(kind, test, holdout, validation, thresholds_of(material, validation))


def _explain(folder: Path, run: _Run, outcome: Outcome, clock: Clock) -> Examined:
    """Write the explanations of the fold's test images, and measure how far they can be believed."""
    material, bench, rows, fold = run.material, run.bench, run.rows, run.order.fold
    with clock.step("explain"):
        found = explain_fold(folder, material, bench, rows, fold, outcome)
    with clock.step("measure"):
        if found is None:
            return NOTHING
        examined = examine(folder, material, bench, rows, fold, outcome, found)
    return replace(examined, metrics=found.metrics | examined.metrics)


def _write_tables(folder: Path, run: _Run, history: pd.DataFrame, outcome: Outcome) -> dict[str, float]:
    """Write predictions, history and plots; give the test metrics."""
    manifest = run.material.manifest
    y, classes, kind = manifest.y, manifest.classes, manifest.targets.kind
    parts = {"predictions": outcome.test, "holdout_predictions": outcome.holdout}
    for name, part in (parts | {"validation_predictions": outcome.validation}).items():
        if len(part.rows):
            table = manifest.table.iloc[part.rows]
            predictions_table(
                table["path"].tolist(),
                table["sha256"].tolist(),
                run.order.fold,
                y[part.rows],
                part.probabilities,
                manifest.targets,
                y_pred=outcome.decided(part),
                thresholds=outcome.thresholds,
            ).to_parquet(folder / f"{name}.parquet", index=False)
    history.to_csv(folder / "history.csv", index=False)
    truth, probabilities, decided = y[run.rows.test], outcome.test.probabilities, outcome.decided(outcome.test)
    write_plots(folder / "plots", truth, probabilities, classes, history, _counts(run), kind=kind, y_pred=decided)
    return score(truth, probabilities, classes, kind=kind, y_pred=decided)


def _counts(run: _Run) -> pd.DataFrame:
    """Count the images of each class in each role."""
    members, rows = class_members(run.material.manifest), run.rows
    roles = {"train": rows.train, "validation": rows.validation, "test": rows.test}
    counts = {role: [int(has[part].sum()) for has in members.values()] for role, part in roles.items()}
    return pd.DataFrame(counts, index=pd.Index(list(members), name="class"))


def _params(run: _Run, resumed: int) -> dict[str, object]:
    experiment, built, backbone = run.material.experiment, run.bench.built, run.order.backbone
    model = experiment.model_of(backbone).model_dump(mode="json") | {"size": run.bench.size}
    return {
        "backbone": backbone,
        "fold": run.order.fold,
        **flattened(model, "model."),
        **flattened(experiment.training_of(backbone).model_dump(mode="json"), "training."),
        "seed": experiment.seed,
        "n_train": len(run.rows.train),
        "n_validation": len(run.rows.validation),
        "n_test": len(run.rows.test),
        "parameters": built.model.count_params(),
        "trainable_parameters": sum(int(np.prod(v.shape)) for v in built.model.trainable_variables),
        "weights_digest": built.weights_digest,
        "cam_layer": built.cam_layer,
        **run.bench.inputs.params,
        **({"resumed_from_epoch": resumed} if resumed else {}),
    }
