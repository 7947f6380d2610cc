"""Models that the user names, found and loaded into this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.dataset.store import cache_home
from tasks.explanation.asked import ModelKind, model_kind
from tasks.explanation.said import Said

if TYPE_CHECKING:
    from tasks.explanation.explainable import Explainable
    from tasks.tracking.models import RecordedModel


def kind_of(model: str | Path, weights: str | Path | None, said: Said) -> ModelKind:
    """Tell what a model is that the user names; see `model_kind`.

    Raises
    ------
    InputError
        It is none of them, or something is said of a bare backbone, which brings that along.
    """
    kind = model_kind(str(model), None if weights is None else str(weights))
    if kind == "backbone":
        said.check_unsaid("ImageNet's networks bring this along.")
    return kind


def recorded_model(model: str, kind: ModelKind) -> RecordedModel | None:
    """Give a model of MLflow's, in its record or in a folder; None where it is a file or a bare backbone.

    Raises
    ------
    InputError
        The record has no such model.
    """
    if kind == "folder":
        from tasks.tracking.models import RecordedModel

        return RecordedModel(Path(model).name, Path(model).expanduser())
    if kind != "recorded":
        return None
    from tasks.tracking.models import find_model
    from tasks.tracking.store import open_client, tracking_uri

    return find_model(open_client(tracking_uri()), model, cache_home() / "artifacts")


def loaded_network(
    model: str,
    kind: ModelKind,
    recorded: RecordedModel | None,
    weights: str | Path | None,
    said: Said,
    threads: int | None,
) -> Explainable:
    """Load TensorFlow and a model that is one network.

    Parameters
    ----------
    model : str
        As the user names it.
    kind : str
        From `model_kind`.
    recorded : RecordedModel or None
        From `recorded_model`.
    weights, said
        What the user says of a bare backbone, and of a model file.
    threads : int or None
        See `start_tensorflow`.

    Raises
    ------
    InputError
        It cannot be loaded, or something is said of a model that brings it along.
    """
    start_tensorflow(threads)
    from tasks.explanation.explainable_others import imagenet_network
    from tasks.explanation.explainable_recorded import file_network, recorded_network

    if kind == "backbone":
        return imagenet_network(model, str(weights))
    if recorded is not None:
        return recorded_network(recorded.folder, said, recorded.title, recorded.backbone, recorded.seed)
    return file_network(Path(model).expanduser(), said)


def start_tensorflow(threads: int | None) -> None:
    """Load TensorFlow, which then computes on so many threads by repeatable algorithms.

    With None, or where it has computed in this process already, it is left as it is.
    """
    if threads is None:
        return
    with _quiet():
        from tasks.training.session import configure

        with suppress(RuntimeError):  # TensorFlow has computed in this process, and stays as it is
            configure(threads, deterministic=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what TensorFlow's own libraries write to standard error while they are loaded; no setting stops that."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
