"""MLflow's client with patience: every call is tried again where that may help, and none does a thing twice."""

from __future__ import annotations

import functools
import inspect
import uuid
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from tasks.tracking.patience import patience_with

KEY = "foldcam.key"
"""Tag of a run or model version: told before it is made, so that one whose answer was lost is found again."""


class PatientClient(MlflowClient):  # type: ignore[misc]
    """A client whose calls wait for a server that is away, as `Patience` says.

    What makes something new looks, before it tries again, whether the first try has made it.

    Parameters
    ----------
    tracking_uri : str
        The store's address.
    """

    def __init__(self, tracking_uri: str) -> None:
        super().__init__(tracking_uri)
        self._patience = patience_with(tracking_uri)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name in _OWN or not inspect.ismethod(found):
            return found
        return functools.partial(_patiently, self, found)

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: dict[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Make a run, once, whatever happens to the answer."""
        own = {KEY: uuid.uuid4().hex} | dict(tags or {})

        def make() -> Run:
            return MlflowClient.create_run(self, experiment_id, start_time, own, run_name)

        return self._patience(make, lambda: self.run_with_key(experiment_id, own[KEY]) or make())

    def run_with_key(self, experiment_id: str, key: str) -> Run | None:
        """Give the run of this key, or None."""
        found = self.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'", max_results=1)
        return found[0] if found else None

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **more: Any,
    ) -> LoggedModel:
        """Make a run's LoggedModel of this name, once."""
        own = {KEY: uuid.uuid4().hex} | dict(tags or {})

        def make() -> LoggedModel:
            return MlflowClient.create_logged_model(self, experiment_id, name, source_run_id, own, **more)

        return self._patience(make, lambda: self.model_with_key(experiment_id, own[KEY]) or make())

    def model_with_key(self, experiment_id: str, key: str) -> LoggedModel | None:
        """Give the LoggedModel of this key, or None."""
        found = self.search_logged_models([experiment_id], f"tags.`{KEY}` = '{key}'", max_results=1)
        return found[0] if found else None

    def log_outputs(self, run_id: str, models: list[LoggedModelOutput]) -> None:
        """Say which models a run has made, each once."""

        def rest() -> None:
            outputs = self.get_run(run_id).outputs
            known = {own.model_id for own in outputs.model_outputs} if outputs else set()
            left = [model for model in models if model.model_id not in known]
            if left:
                MlflowClient.log_outputs(self, run_id, left)

        self._patience(lambda: MlflowClient.log_outputs(self, run_id, models), rest)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag; it may be gone where the answer to an earlier try was lost."""

        def rest() -> None:
            if key in self.get_run(run_id).data.tags:
                MlflowClient.delete_tag(self, run_id, key)

        self._patience(lambda: MlflowClient.delete_tag(self, run_id, key), rest)

    def create_registered_model(self, name: str, *arguments: Any, **more: Any) -> RegisteredModel:
        """Make a registered model; one that an earlier try has made is taken."""

        def rest() -> RegisteredModel:
            try:
                return self.get_registered_model(name)
            except MlflowException:
                return MlflowClient.create_registered_model(self, name, *arguments, **more)

        return self._patience(lambda: MlflowClient.create_registered_model(self, name, *arguments, **more), rest)

    def create_model_version(
        self, name: str, source: str, *arguments: Any, tags: dict[str, Any] | None = None, **more: Any
    ) -> ModelVersion:
        """Make a version of a registered model, once."""
        own = {KEY: uuid.uuid4().hex} | dict(tags or {})

        def make() -> ModelVersion:
            return MlflowClient.create_model_version(self, name, source, *arguments, tags=own, **more)

        def rest() -> ModelVersion:
            known = self.search_model_versions(f"name = '{name}'")
            return next((version for version in known if version.tags.get(KEY) == own[KEY]), None) or make()

        return self._patience(make, rest)


_OWN = frozenset(name for name, own in vars(PatientClient).items() if inspect.isfunction(own))


def _patiently(client: PatientClient, method: Any, *arguments: Any, **named: Any) -> Any:
    return client._patience(functools.partial(method, *arguments, **named))
