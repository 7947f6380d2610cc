"""Runs and networks removed for good, by MLflow's own means: deleted, and swept from its bin where that is at hand."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cached_property
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tasks.config import InputError
from tasks.tracking.cleaning.rules import Unit
from tasks.tracking.cleaning.trees import LEVEL, all_runs, recorded
from tasks.tracking.refusals import refusal_of, without_password_of, without_sign_in
from tasks.tracking.store import local_path, open_client
from tasks.upkeep.found import size_of

CLEANED = "foldcam.cleaned"
"""Tag of a run that is being removed (`run`), or whose networks were (`models`)."""


class Removal:
    """Removes runs, or their networks only.

    Parameters
    ----------
    uri : str
        The store's address. Where it is a server, what is deleted lies in its bin until whoever runs it calls
        `mlflow gc`.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    @cached_property
    def client(self) -> MlflowClient:
        """The store, opened when it is first needed.

        Raises
        ------
        InputError
            It cannot be used.
        """
        return open_client(self._uri)

    @property
    def frees_space(self) -> bool:
        """Whether what is removed is gone for good, and not in a server's bin."""
        return not self._uri.startswith(("http://", "https://"))

    def remove(self, unit: Unit) -> None:
        """Remove runs with all that they logged.

        Raises
        ------
        InputError
            The store refuses it, with what it says.
        """
        with _told(self._uri):
            for run in unit.runs:
                self.client.set_tag(run.run_id, CLEANED, "run")
            for run in unit.runs:
                for model_id in run.models:
                    self._delete_model(model_id)
                self.client.delete_run(run.run_id)
            if self.frees_space:
                self._sweep([run.run_id for run in unit.runs], [model for run in unit.runs for model in run.models])

    def remove_models(self, unit: Unit) -> None:
        """Remove the networks of runs, and leave everything else of them.

        Raises
        ------
        InputError
            The store refuses it, with what it says.
        """
        models = [model for run in unit.runs for model in run.models]
        with _told(self._uri):
            for run in unit.runs:
                if run.models:
                    self.client.set_tag(run.run_id, CLEANED, "models")
            for model_id in models:
                self._delete_model(model_id)
            if self.frees_space:
                self._sweep([], models)

    def finish(self, name: str) -> None:
        """Sweep from the bin what an earlier removal in an experiment of this name left there, being interrupted."""
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None or not self.frees_space:
            return
        with _told(self._uri):
            deleted = all_runs(self.client, experiment.experiment_id, deleted=True, wanted=_REMOVED)
            left = [recorded(run) for run in deleted]
            if left:
                self._sweep([run.run_id for run in left], [model for run in left for model in run.models])

    def size_of(self, unit: Unit, *, models_only: bool) -> int | None:
        """Give how much disk space some runs take, in bytes; None where they do not lie on this machine."""
        places = [] if models_only else [run.place for run in unit.runs]
        for model_id in (model for run in unit.runs for model in run.models):
            with suppress(MlflowException):
                places.append(str(self.client.get_logged_model(model_id).artifact_location))
        folders = [local_path(place) for place in places]
        if any(folder is None for folder in folders):
            return None
        return sum(map(size_of, _outermost(folder for folder in folders if folder is not None)))

    def is_completed(self, fingerprint: str) -> bool:
        """Tell whether the record has a completed fold run of a fingerprint."""
        wanted = f"tags.`foldcam.fingerprint` = '{fingerprint}' and tags.`foldcam.status` = 'completed'"
        experiments = [own.experiment_id for own in self.client.search_experiments()]
        return bool(self.client.search_runs(experiments, wanted, max_results=1))

    def _delete_model(self, model_id: str) -> None:
        try:
            self.client.delete_logged_model(model_id)
        except MlflowException as fault:
            if fault.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def _sweep(self, runs: Sequence[str], models: Sequence[str]) -> None:
        """Do what `mlflow gc` does for these runs and models, and for nothing else that lies in the bin."""
        from mlflow.cli import _gc_tracking_resources
        from mlflow.tracking._tracking_service.utils import _get_store

        store = _get_store(store_uri=self._uri)
        known = sorted(set(store._get_deleted_logged_models()).intersection(models))
        folders = [local_path(store.get_run(run_id).info.artifact_uri) for run_id in runs]
        folders += [local_path(store.get_logged_model(own, allow_deleted=True).artifact_location) for own in known]
        with redirect_stdout(io.StringIO()):
            _gc_tracking_resources(
                backend_store=store,
                run_ids=list(runs),
                experiment_ids=None,
                logged_model_ids=known,
                older_than=None,
                time_delta=0,
                skip_experiments=True,
                skip_logged_models=False,
            )
        for folder in folders:
            _remove_empty(folder)


_REMOVED = f"tags.`{CLEANED}` = 'run' and tags.`{LEVEL}` != ''"


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """Tell what a store refuses as a plain paragraph."""
    try:
        yield
    except (MlflowException, OSError) as fault:
        refused = refusal_of(fault, uri)
        if refused is not None:
            raise refused from fault
        said = (str(fault).strip().splitlines() or [type(fault).__name__])[0][:300].rstrip(".")
        raise InputError(
            f"MLflow's store at {without_sign_in(uri)} could not remove what was to go: "
            f"{without_password_of(uri, said)}. What was removed before is gone; call again for the rest."
        ) from fault


def _outermost(folders: Iterable[Path]) -> list[Path]:
    """Leave out folders that lie in others of them, so that nothing is counted twice."""
    chosen: list[Path] = []
    for folder in sorted(set(folders)):
        if not any(folder.is_relative_to(above) for above in chosen):
            chosen.append(folder)
    return chosen


def _remove_empty(folder: Path | None) -> None:
    """Remove the folder of a run or model that has nothing in it any more."""
    if folder is not None:
        for own in (folder, folder.parent):
            with suppress(OSError):
                own.rmdir()
