"""Evidence of a comparison without any training: backbones whose predictions are drawn, written as fold runs log them.

Truth is drawn from probabilities that are known, and a backbone sees them through its temperature: with 1 it is
perfectly calibrated, with 0.5 too sure of itself. Some noise sets backbones and folds apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.comparison.backbone import gather
from tasks.comparison.evidence import Evidence
from tasks.comparison.experiment import ranking
from tasks.comparison.results import FoldResult
from tasks.config import Experiment, Kind
from tasks.dataset.folds.assignment import FoldRows
from tasks.dataset.manifest import Manifest
from tasks.dataset.pixels.images import pixel_digest
from tasks.dataset.targets import Targets
from tasks.evaluation.metrics import score
from tasks.evaluation.outputs import activated, class_probabilities, decide
from tasks.evaluation.tables import predictions_table
from tasks.workers.plan import Plan

SPLITS = 3


def made_evidence(
    root: Path,
    temperatures: Mapping[str, float],
    *,
    kind: Kind = "multiclass",
    classes: Sequence[str] = ("cat", "dog", "owl"),
    n: int = 240,
    n_holdout: int = 0,
    n_validation: int = 60,
    n_repeats: int = 1,
    group_size: int = 1,
    missing: Mapping[str, Sequence[int]] | None = None,
    without_validation: Sequence[str] = (),
    noise: float = 0.5,
    spread: float = 2.0,
    seed: int = 0,
    **comparison: object,
) -> Evidence:
    """Make evidence in an empty folder.

    Parameters
    ----------
    root
        An empty folder.
    temperatures
        By backbone, what its logits are divided by.
    kind, classes
        The labels.
    n, n_holdout
        Numbers of images in the folds, and held out.
    n_validation
        Numbers of validation images of a fold, drawn from the images outside it; at most half of them.
    n_repeats
        How often the images are cut into folds.
    group_size
        How many images, one after another, are of one group; 1: there are no groups.
    missing
        By backbone, the folds that failed.
    without_validation
        Backbones that logged no predictions of validation images.
    noise
        The standard deviation of what a fold's model adds to the logits.
    spread
        The standard deviation of the logits.
    seed
        Of all that is drawn.
    **comparison
        Settings of `comparison`.
    """
    rng, targets, total = np.random.default_rng(seed), Targets(tuple(classes), kind, ";"), n + n_holdout
    logits = _logits(rng, kind, total, len(classes), spread)
    y = _drawn(class_probabilities(activated(logits, kind), kind), kind, rng)
    plan = _plan(root, targets, y, n, n_repeats, n_validation, group_size, temperatures, comparison, rng)
    results = {}
    for name, temperature in temperatures.items():
        folds = []
        for fold, rows in enumerate(plan.rows):
            if fold in (missing or {}).get(name, ()):
                folds.append(FoldResult(name, fold, "failed", None, "it broke"))
                continue
            p = class_probabilities(
                activated((logits + noise * rng.standard_normal(logits.shape)) / temperature, kind), kind
            )
            roles = {"": rows.test, "holdout_": rows.holdout, "validation_": rows.validation}
            if name in without_validation:
                del roles["validation_"]
            folds.append(_fold(root, plan, name, fold, p, y, roles))
        results[name] = gather(plan, name, f"run-{name}", folds, lambda run, file: root / run / file)
    order = ranking(plan, results)
    return Evidence(plan, {name: results[name] for name in order}, lambda run, file: root / run / file)


def _logits(rng: np.random.Generator, kind: Kind, n: int, k: int, spread: float) -> np.ndarray:
    if kind != "ordinal":
        return np.asarray(spread * rng.standard_normal((n, k)))
    return np.asarray(spread * rng.standard_normal((n, 1)) + np.linspace(spread, -spread, k))


def _drawn(p: np.ndarray, kind: Kind, rng: np.random.Generator) -> np.ndarray:
    if kind == "multilabel":
        return np.asarray((rng.random(p.shape) < p).astype(np.int64))
    return np.asarray((p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1).clip(max=p.shape[1] - 1))


def _plan(
    root: Path,
    targets: Targets,
    y: np.ndarray,
    n: int,
    n_repeats: int,
    n_validation: int,
    group_size: int,
    backbones: Mapping[str, float],
    comparison: Mapping[str, object],
    rng: np.random.Generator,
) -> Plan:
    total = len(y)
    groups = [f"patient {number // group_size}" if group_size > 1 else None for number in range(total)]
    images = pd.DataFrame({"path": [f"{i:05}.png" for i in range(total)], "label": targets.texts(y), "group": groups})
    digests = [pixel_digest(made_picture(number)) for number in range(total)]
    images = images.assign(split=None, fold=None, sha256=digests, declared_group=groups, width=8, height=8)
    manifest = Manifest(images, root, targets, pd.DataFrame(columns=["path", "reason"]))
    folds = np.full((total, n_repeats), -1)
    for repeat in range(n_repeats):
        order = rng.permutation(-(-n // group_size)) % SPLITS
        folds[:n, repeat] = SPLITS * repeat + order[np.arange(n) // group_size]
    rows = []
    for fold in range(SPLITS * n_repeats):
        rest = np.flatnonzero((folds[:, fold // SPLITS] >= 0) & (folds[:, fold // SPLITS] != fold))
        validation = np.sort(rng.permutation(rest)[: min(n_validation, len(rest) // 2)])
        test = np.flatnonzero((folds == fold).any(axis=1))
        rows.append(FoldRows(np.setdiff1d(rest, validation), validation, test, np.arange(n, total)))
    experiment = Experiment.model_validate(
        {
            "name": "made",
            "data": {"path": str(root), "labels": {"kind": targets.kind}},
            "folds": {"n_splits": SPLITS, "n_repeats": n_repeats},
            "backbones": list(backbones),
            "comparison": dict(comparison),
        }
    )
    return Plan(experiment, manifest, folds, tuple(rows), {}, "f" * 64, root, root)


def made_picture(number: int) -> np.ndarray:
    """Give the picture of the image with a number, 8 × 8 pixels, which has a file only where that is asked for."""
    return np.full((8, 8, 3), (number % 256, 90 + number // 256, 160), np.uint8)


def _fold(
    root: Path, plan: Plan, name: str, fold: int, p: np.ndarray, y: np.ndarray, roles: Mapping[str, np.ndarray]
) -> FoldResult:
    targets, images = plan.manifest.targets, plan.manifest.table
    thresholds = np.full(len(targets.classes), 0.4) if targets.kind == "multilabel" else None
    decided = decide(p, targets.kind, 0.5 if thresholds is None else thresholds)
    folder = root / f"{name}-{fold}"
    folder.mkdir()
    for role, rows in roles.items():
        if len(rows):
            own, digests = (images[name].iloc[rows].tolist() for name in ("path", "sha256"))
            table = predictions_table(own, digests, fold, y[rows], p[rows], targets, decided[rows], thresholds)
            table.to_parquet(folder / f"{role}predictions.parquet", index=False)
    test = roles[""]
    metrics = score(y[test], p[test], targets.classes, kind=targets.kind, y_pred=decided[test])
    return FoldResult(name, fold, "completed", folder.name, None, 5.0, metrics)
