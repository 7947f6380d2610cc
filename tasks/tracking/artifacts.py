"""Artifacts of runs, for reading: where they lie, or brought to this machine for as long as they are needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# Read when a file is brought; the progress that people see is the command's own.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow import MlflowClient

from tasks.config import InputError
from tasks.tracking.store import local_copy


class Artifacts:
    """Reads artifacts of an MLflow store's runs.

    Parameters
    ----------
    client : MlflowClient
        The store.
    folder : Path
        Where copies stand of what lies elsewhere; the caller makes and deletes it.
    """

    def __init__(self, client: MlflowClient, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def names(self, run_id: str, folder: str | None = None) -> set[str]:
        """Give the names of the files and folders in a run's artifact folder; none where it is not there.

        Raises
        ------
        InputError
            The place where artifacts lie cannot be read.
        """
        try:
            found = self._client.list_artifacts(run_id, folder)
        except Exception as fault:  # what is raised depends on where artifacts lie
            raise InputError(_unreadable(run_id, folder or "", fault)) from fault
        return {entry.path.rpartition("/")[2] for entry in found}

    def fetch(self, run_id: str, artifact: str) -> Path:
        """Give the local path of an artifact, a file or a whole folder.

        Raises
        ------
        InputError
            It is gone, or cannot be brought here.
        """
        try:
            path = local_copy(self._client, run_id, artifact, self._folder)
            if path.exists():
                return path
        except FileNotFoundError:
            pass
        except Exception as fault:  # what is raised depends on where artifacts lie
            raise InputError(_unreadable(run_id, artifact, fault)) from fault
        raise InputError(
            f"The artifact `{artifact}` of the MLflow run {run_id} is gone, or was never logged. Bring it back, or do "
            "the run again with `foldcam run FILE --fresh`."
        )

    def forget(self, run_id: str) -> None:
        """Delete the copies of a run's artifacts; what lies where it was logged stays."""
        shutil.rmtree(self._folder / run_id, ignore_errors=True)


def _unreadable(run_id: str, artifact: str, fault: Exception) -> str:
    lines = str(fault).strip().splitlines() or [type(fault).__name__]
    return (
        f"The artifact `{artifact}` of the MLflow run {run_id} could not be read: {lines[0][:300].rstrip('.')}. Check "
        "that it is still there, that the store of artifacts can be reached from here, and that there is room for a "
        "copy."
    )
