"""Predicts images by a model of anyone's into a table, and holds them against what the model was trained on."""

from __future__ import annotations

import time
from dataclasses import replace as changed
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flows.loading import kind_of, loaded_network, recorded_model, start_tensorflow
from flows.watching import Watch, silent
from tasks.config import InputError
from tasks.dataset.image_lists import listed_images
from tasks.explanation.asked import ModelKind
from tasks.explanation.said import Said
from tasks.workers.prediction_parts import check_not_read, check_out_file, unfinished_parts, without_results

if TYPE_CHECKING:
    from tasks.comparison.drift.predicted import Predicted
    from tasks.dataset.asked_images import AskedImage
    from tasks.tracking.models import RecordedModel
    from tasks.workers.predictor import Predictor

BATCH = 32
"""Images that go through the model at once where nothing else is asked for."""


def predict_images(
    place: str | Path,
    model: str | Path,
    *,
    out: str | Path,
    explain: bool = False,
    batch_size: int = BATCH,
    column: str | None = None,
    log: bool = False,
    fresh: bool = False,
    replace: bool = False,
    weights: str | Path | None = None,
    said: Said | None = None,
    threads: int | None = None,
    report: Watch | None = None,
) -> Predicted:
    """Predict all images at a place by a model, and write a table of them.

    What is done is kept beside the table until all is: a call that was stopped goes on where it was.

    Parameters
    ----------
    place : str or Path
        An image, a folder, an array (`.npy`), a table of paths, or an address; see `tasks.dataset.image_lists`.
    model : str or Path
        `models:/NAME@champion`, or any model that `flows.explain_images` takes.
    out : str or Path
        A file that ends in `.parquet` or `.csv`.
    explain : bool
        Write overlays of where the model looks into a folder beside the table, `OUT_overlays`.
    batch_size : int
        Images that go through the model at once, 1 or more.
    column : str or None
        The column of paths, where `place` is a table; None: one with a usual name.
    log : bool
        Log table, drift and figures to MLflow: a run of level `prediction` in the experiment `NAME predictions`.
    fresh : bool
        Begin anew, whatever an earlier call has done.
    replace : bool
        Let a table that is there be replaced; `fresh` does so too.
    weights, said, threads
        As in `flows.explain_images.explain_images`.
    report : callable or None
        See `flows.watching.Watch`.

    Raises
    ------
    InputError
        Something asked for cannot be had, or no image can be predicted.
    """
    began, tell = time.monotonic(), report or silent
    file = Path(out).expanduser()
    said = said or Said()
    kind = kind_of(model, weights, said)
    if batch_size < 1:
        raise InputError(f"--batch-size: the number of images at once must be 1 or more, not {batch_size}.")
    check_out_file(file, fresh=fresh or replace)
    check_not_read(str(place), file)
    with listed_images(str(place), column=column, progress=partial(tell, "fetching images")) as images:
        if Path(place).expanduser().is_dir():
            images = without_results(images, file)
        tell("loading the model", 0, 1)
        recorded = recorded_model(str(model), kind)
        predictor = _predictor(str(model), kind, recorded, weights, said, threads, batch_size)
        tell("loading the model", 1, 1)
        found = _predict(images, predictor, file, batch_size, tell, explain=explain, fresh=fresh)
    found = changed(found, seconds=round(time.monotonic() - began, 3))
    found.write_drift()
    if not log:
        return found
    from tasks.tracking.prediction_log import log_predictions

    name = (recorded.name if recorded is not None else None) or Path(str(model)).stem
    about = {"model": str(model), "images": str(place), "batch_size": batch_size, "explain": explain}
    files = [file, *([found.drift_file] if found.drift is not None else [])]
    return changed(found, run_id=log_predictions(name, found.to_json(), about, files))


def _predictor(
    model: str,
    kind: ModelKind,
    recorded: RecordedModel | None,
    weights: str | Path | None,
    said: Said,
    threads: int | None,
    batch_size: int,
) -> Predictor:
    """Load TensorFlow and the model."""
    if recorded is not None:
        from tasks.tracking.registered_predictor import RegisteredPredictor, is_champion

        if is_champion(recorded.folder):
            said.check_unsaid("the model was made by foldcam and brings this along.")
            if kind == "folder" and not said.trust:
                raise InputError(
                    f"--model: {recorded.folder} brings code of its own along, which runs when it is loaded and can do "
                    "anything on this machine. If you know who made the folder and trust them, give --trust; a model "
                    "of your team's registry (models:/NAME@champion) needs none."
                )
            start_tensorflow(threads)
            return RegisteredPredictor(recorded, batch_size)
    network = loaded_network(model, kind, recorded, weights, said, threads)
    from tasks.explanation.network_predictor import NetworkPredictor
    from tasks.workers.plan import digest_of, file_digest

    if recorded is not None:
        own = ["folder", file_digest(str(recorded.folder / "MLmodel"))]
    else:
        own = ["file", file_digest(str(weights) if kind == "backbone" else model), model]
    fingerprint = digest_of([*own, str(weights), repr(said)])
    return NetworkPredictor(network, fingerprint, None if recorded is None else recorded.version)


def _predict(
    images: list[AskedImage],
    predictor: Predictor,
    out: Path,
    batch_size: int,
    tell: Watch,
    *,
    explain: bool,
    fresh: bool,
) -> Predicted:
    """Predict what is missing, and put the table in its place."""
    from tasks.comparison.drift.predicted import summarise
    from tasks.workers import predict_images as work

    fingerprint = work.prediction_fingerprint(images, predictor, explain=explain)
    with unfinished_parts(out, fingerprint, fresh=fresh) as parts:
        n_reused = work.n_done(parts, len(images))
        step = partial(tell, "predicting images")
        work.predict_images(images, predictor, parts, batch_size=batch_size, explain=explain, report=step)
        try:
            found = summarise(parts, predictor, out, n_reused)
        except InputError:
            parts.discard()
            raise
        parts.finish(work.result_columns(predictor, parts.columns()))
    return found
