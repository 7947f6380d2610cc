"""One experiment's tree of runs: opened, gone on with, and ended, whatever happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tasks.tracking.pages import Pages
from tasks.tracking.runs import EXPERIMENT_RUN, FoldRecord, Runs, Status
from tasks.tracking.store import experiment_id, open_client
from tasks.tracking.writer import Writer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """What the store has of an experiment already.

    Attributes
    ----------
    run_id : str or None
        The experiment run of this very experiment, if there is one.
    folds : dict of str to FoldRecord
        Completed fold runs by fingerprint; also those of other experiment runs.
    """

    run_id: str | None
    folds: dict[str, FoldRecord]


class Ledger:
    """Keeps the runs of one experiment; safe to use from several threads.

    Parameters
    ----------
    tracking_uri : str
        MLflow's address.
    name : str
        The MLflow experiment's name; it is made if it is not there.

    Raises
    ------
    InputError
        The store cannot be used.
    """

    def __init__(self, tracking_uri: str, name: str) -> None:
        self.tracking_uri = tracking_uri
        self.client: MlflowClient = open_client(tracking_uri)
        self.runs = Runs(self.client, experiment_id(self.client, name))
        self.pages = Pages(self.client, self.runs.experiment_id)
        self.experiment_run_id = ""
        self.resumed = False
        self._anything_done = False
        self._backbones: dict[str, str] = {}
        self._open: dict[str, None] = {}
        self._lock = threading.Lock()

    def look_up(self, fingerprint: str, of_folds: Mapping[tuple[str, int], str]) -> Known:
        """Find this experiment and the fold runs that are done already."""
        return Known(self.runs.find("experiment", fingerprint), self.runs.completed_folds(list(of_folds.values())))

    def open_experiment(self, known: Known, name: str, tags: Mapping[str, str]) -> str:
        """Go on with the experiment's run, or start one."""
        self.runs.end_orphans()
        self.resumed = known.run_id is not None
        self._anything_done = bool(known.folds)
        if known.run_id is not None:
            self.experiment_run_id = known.run_id
            self.runs.resume(known.run_id)
        else:
            self.experiment_run_id = self.runs.start("experiment", name, parent=None, tags=tags)
        self._note(self.experiment_run_id)
        return self.experiment_run_id

    def open_backbone(self, backbone: str, fingerprint: str, data_digest: str) -> tuple[str, bool]:
        """Go on with a backbone's run below the experiment run, or start one; give its id and whether it is new."""
        found = self.runs.find("backbone", fingerprint, parent=self.experiment_run_id)
        if found is not None:
            self.runs.resume(found)
            run_id = found
        else:
            tags = {
                "foldcam.backbone": backbone,
                "foldcam.fingerprint": fingerprint,
                "foldcam.data_digest": data_digest,
                EXPERIMENT_RUN: self.experiment_run_id,
            }
            run_id = self.runs.start("backbone", backbone, parent=self.experiment_run_id, tags=tags)
        self._backbones[backbone] = run_id
        self._note(run_id)
        return run_id, found is None

    def backbone_run(self, backbone: str) -> str:
        """Give the id of an opened backbone run."""
        return self._backbones[backbone]

    def open_fold(self, backbone: str, fold: int, fingerprint: str, data_digest: str) -> str:
        """Start a fold run below its backbone's run."""
        tags = {
            "foldcam.backbone": backbone,
            "foldcam.fold": str(fold),
            "foldcam.fingerprint": fingerprint,
            "foldcam.data_digest": data_digest,
            EXPERIMENT_RUN: self.experiment_run_id,
        }
        parent = self._backbones[backbone]
        run_id = self.runs.start("fold", f"{backbone}/{fold}", parent=parent, tags=tags)
        self._note(run_id)
        return run_id

    def writer(self, run_id: str) -> Writer:
        """Give the writer of a run."""
        return Writer(self.tracking_uri, run_id)

    def end(self, run_id: str, status: Status, reason: str = "") -> None:
        """End an open run truthfully; one that has been ended, by whichever thread, stays as it is."""
        with self._lock:
            if run_id not in self._open:
                return
            del self._open[run_id]
            self._anything_done = self._anything_done or status == "completed"
        self.runs.end(run_id, status, reason)

    def end_open(self, reason: str) -> None:
        """End whatever is still open, folds first: after Ctrl-C or a fault of foldcam's own."""
        with self._lock:
            left = list(reversed(self._open))
        for run_id in left:
            holds_folds = run_id in self._backbones.values() or run_id == self.experiment_run_id
            try:
                self.end(run_id, "partial" if holds_folds and self._anything_done else "failed", reason)
            except MlflowException:
                _log.exception("The MLflow run %s could not be ended.", run_id)

    def _note(self, run_id: str) -> None:
        with self._lock:
            self._open[run_id] = None
