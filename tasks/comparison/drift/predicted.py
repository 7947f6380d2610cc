"""What a prediction of many images came to: counts, labels, errors, and drift from the training images."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.comparison.drift.distances import Drift, measure_drift
from tasks.comparison.drift.told import drift_json
from tasks.config import InputError
from tasks.dataset.drift_reference import OUTPUT, STATISTICS
from tasks.dataset.wording import counted, listed
from tasks.workers.prediction_parts import Parts
from tasks.workers.predictor import Predictor

ERRORS_TOLD = 10
"""Errors that are told one by one; the table has all."""


@dataclass(frozen=True)
class Predicted:
    """What was predicted, and where it is.

    Attributes
    ----------
    model : str
        What people call the model.
    version : str or None
        Its version in the registry.
    out : Path
        The table: a row an image with `image`, `label`, `probability` (of the label, 0 to 1), `prob/<class>`, and
        where the model has them `prediction_set` (a JSON list), `abstains` and `overlay` (a file, from the table's
        folder); `error` says why an image has none.
    n_images, n_failed, n_reused : int
        All images; those without a prediction; those that an earlier call had come to.
    labels : dict of str to int
        How many images are given each label; with several labels an image counts for each.
    n_abstained : int or None
        Images of which the model is not sure; None where it cannot say so.
    errors : tuple of (str, str)
        The first images without a prediction, and why.
    drift : dict or None
        From `drift_json`; None where the model does not know its training images.
    seconds : float
        How long it took.
    run_id : str or None
        The MLflow run, where it was logged.
    """

    model: str
    version: str | None
    out: Path
    n_images: int
    n_failed: int
    n_reused: int
    labels: dict[str, int]
    n_abstained: int | None
    errors: tuple[tuple[str, str], ...]
    drift: dict[str, Any] | None
    seconds: float = 0.0
    run_id: str | None = None

    @property
    def status(self) -> str:
        """`completed`, or `partial` where an image has no prediction."""
        return "partial" if self.n_failed else "completed"

    @property
    def drift_file(self) -> Path:
        """The file beside the table that says how far its images have drifted."""
        return self.out.with_name(f"{self.out.stem}_drift.json")

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam predict --json`."""
        errors = [{"image": image, "error": error} for image, error in self.errors]
        return asdict(self) | {"status": self.status, "out": str(self.out), "errors": errors}

    def write_drift(self) -> None:
        """Write `drift_file`; nothing where there is no drift to tell of.

        Raises
        ------
        InputError
            It cannot be written.
        """
        if self.drift is not None:
            text = json.dumps(self.drift, indent=2, ensure_ascii=False, allow_nan=False)
            try:
                self.drift_file.write_text(text + "\n", encoding="utf-8")
            except OSError as fault:
                raise InputError(
                    f"--out: {self.drift_file} cannot be written: {fault.strerror or fault}. The table is whole."
                ) from fault


def summarise(parts: Parts, predictor: Predictor, out: Path, n_reused: int) -> Predicted:
    """Give what all parts come to.

    Parameters
    ----------
    parts : Parts
        The predictions.
    predictor : Predictor
        The model that they are by.
    out : Path
        The table that the parts become.
    n_reused : int
        Images whose predictions were there before.

    Raises
    ------
    InputError
        No image has a prediction.
    """
    outputs = [f"{OUTPUT}{name}" for name in predictor.targets.classes]
    columns = ["image", "label", "abstains", "error", *STATISTICS, *outputs]
    table = pd.concat(parts.read(columns), ignore_index=True)
    failed = table["error"].notna()
    errors = [(str(row["image"]), str(row["error"])) for row in table[failed].to_dict("records")]
    if failed.all():
        shown = listed([f"{image} ({error})" for image, error in errors], ERRORS_TOLD)
        none = "The image cannot" if len(table) == 1 else f"None of {counted(len(table), 'image')} can"
        raise InputError(f"{none} be predicted: {shown}.")
    good = table[~failed]
    asks = good["abstains"].notna().any()
    drift = _drift(predictor, good)
    return Predicted(
        model=predictor.title,
        version=predictor.version,
        out=out,
        n_images=len(table),
        n_failed=len(errors),
        n_reused=n_reused,
        labels=_counts(predictor, good["label"].astype(str).tolist()),
        n_abstained=int(good["abstains"].astype(bool).sum()) if asks else None,
        errors=tuple(errors[:ERRORS_TOLD]),
        drift=None if drift is None else drift_json(drift),
    )


def _counts(predictor: Predictor, labels: list[str]) -> dict[str, int]:
    """Count images by label in the classes' order; those without any label come last."""
    targets = predictor.targets
    counts = Counter(label for text in labels for label in targets.parts(text) or [targets.none_name])
    order = [*targets.classes, *(name for name in counts if name not in targets.classes)]
    return {label: counts[label] for label in order}


def _drift(predictor: Predictor, table: pd.DataFrame) -> Drift | None:
    if predictor.reference is None:
        return None
    targets = predictor.targets
    separator = targets.separator if targets.kind == "multilabel" else None
    there = table.dropna(axis="columns", how="all")
    return measure_drift(predictor.reference, there, table["label"].astype(str).tolist(), separator)
