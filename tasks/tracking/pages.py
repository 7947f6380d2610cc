"""What MLflow's pages of an experiment say of themselves: saved views, and descriptions of the experiment and runs."""

from __future__ import annotations

from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from mlflow.utils.time import get_current_time_millis

from tasks.tracking.views import View, wanted_tags

MARK = "\n\n<!-- written by foldcam -->"
"""Ends each description that is written here; MLflow's pages do not show it. Without it a description is people's."""

ROOM = 8000 - len(MARK)
"""The longest description, in characters: a tag of a run holds no more."""


class Pages:
    """Writes what the pages of one MLflow experiment say; what people have written there stays.

    Parameters
    ----------
    client : MlflowClient
        The store.
    experiment_id : str
        MLflow's id of the experiment.
    """

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client, self.experiment_id = client, experiment_id

    def offer(self, views: Iterable[View]) -> None:
        """Put views into the menu of the runs page, as far as they are not there or are out of date."""
        present = self._client.get_experiment(self.experiment_id).tags
        for name, value in wanted_tags(views, present, get_current_time_millis()).items():
            self._client.set_experiment_tag(self.experiment_id, name, value)

    def describe(self, text: str, *, first: bool = False) -> None:
        """Set the experiment's description, Markdown, unless people have written one; the `first` replaces none."""
        present = self._client.get_experiment(self.experiment_id).tags.get(MLFLOW_RUN_NOTE)
        if not present if first else _is_free(present):
            self._client.set_experiment_tag(self.experiment_id, MLFLOW_RUN_NOTE, text + MARK)

    def describe_run(self, run_id: str, text: str) -> None:
        """Set a run's description, Markdown, unless people have written one."""
        if _is_free(self._client.get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE)):
            self._client.set_tag(run_id, MLFLOW_RUN_NOTE, text + MARK)

    def artifacts(self, run_id: str) -> set[str]:
        """Give the names of the files and folders that a run has as artifacts."""
        return {entry.path for entry in self._client.list_artifacts(run_id)}


def _is_free(present: str | None) -> bool:
    return not present or present.endswith(MARK.strip())
