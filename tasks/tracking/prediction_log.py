"""Logs what a model predicted for new images: a run of its own kind, apart from the experiments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.evaluation.names import metric_key
from tasks.tracking.records import File, Metrics, Params, Record, Tags, Text
from tasks.tracking.runs import Runs
from tasks.tracking.store import experiment_id, open_client, tracking_uri
from tasks.tracking.writer import Writer

NOTE = "mlflow.note.content"


def log_predictions(name: str, found: Mapping[str, Any], about: Mapping[str, object], files: Sequence[Path]) -> str:
    """Log a prediction to the MLflow experiment `NAME predictions`, and give the id of its run.

    Parameters
    ----------
    name : str
        Of the registered model, or of the experiment that the model is from.
    found : mapping
        From `Predicted.to_json`.
    about : mapping
        What was asked for: the run's parameters.
    files : sequence of Path
        The table, and whatever belongs to it.

    Raises
    ------
    InputError
        The store cannot be used.
    """
    uri = tracking_uri()
    client = open_client(uri)
    runs = Runs(client, experiment_id(client, f"{name} predictions"))
    runs.end_orphans()
    run_id = runs.start("prediction", str(about["images"]), parent=None, tags={})
    try:
        Writer(uri, run_id).write(prediction_content(found, about, files))
    except BaseException as fault:
        runs.end(run_id, "failed", str(fault) or type(fault).__name__)
        raise
    runs.end(run_id, found["status"])
    return run_id


def prediction_content(
    found: Mapping[str, Any], about: Mapping[str, object], files: Sequence[Path]
) -> Iterator[Record]:
    """Yield what is logged of a prediction; parameters as in `log_predictions`.

    Metrics: `n_images`, `n_failed`, `n_abstained`, `seconds/total`, `share/<label>` (0 to 1, of the images with a
    prediction), `drift/found` (1 or 0; not there where it cannot be told) and `drift/<statistic>` or
    `drift/output/<class>`, distances of 0 to 1.
    """
    version = {} if found["version"] is None else {"foldcam.model_version": found["version"]}
    yield Tags({"foldcam.model": str(about["model"]), **version, NOTE: _note(found)})
    yield Params(about)
    n_good = found["n_images"] - found["n_failed"]
    metrics = {name: found[name] for name in ("n_images", "n_failed", "n_abstained") if found[name] is not None}
    metrics["seconds/total"] = found["seconds"]
    metrics |= {f"share/{metric_key(label)}": count / n_good for label, count in found["labels"].items()}
    yield Metrics(metrics | _drift(found["drift"]))
    yield from map(File, files)
    if found["errors"]:
        yield Text("".join(f"{row['image']}: {row['error']}\n" for row in found["errors"]), "errors.txt")


def _drift(drift: Mapping[str, Any] | None) -> dict[str, float]:
    if drift is None:
        return {}
    metrics = {} if drift["drifted"] is None else {"drift/found": float(drift["drifted"])}
    for row in drift["statistics"]:
        if row["distance"] is not None:
            name = f"output/{metric_key(row['statistic'])}" if row["kind"] == "output" else row["statistic"]
            metrics[f"drift/{name}"] = row["distance"]
    return metrics


def _note(found: Mapping[str, Any]) -> str:
    lines = [f"{found['n_images']:,} images predicted by {found['model']}; {found['n_failed']:,} could not be."]
    lines += [f"- {label}: {count:,}" for label, count in found["labels"].items()]
    said = found["drift"]["said"] if found["drift"] is not None else []
    return "\n".join([lines[0], "", *lines[1:], "", *said])
