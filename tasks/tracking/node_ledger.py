"""The record of one fold run that is done on a node of a cluster, where it may be begun again on another."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from mlflow.entities import Run, ViewType

from tasks.tracking.ledger import Ledger
from tasks.tracking.patience import Unreachable
from tasks.tracking.runs import JOB, OWNER, FoldRecord, Status

CUT_SHORT = "The node or the process that did it was lost before it could end it; it was begun again elsewhere."


class Superseded(RuntimeError):
    """A fold run was ended by another one of the same job, while this one was taken for lost."""


@dataclass(frozen=True)
class Errand:
    """What a fold run's record belongs to.

    Attributes
    ----------
    job : str
        Unique for each fold run that is given to a cluster.
    experiment_run, backbone_run : str
        The runs above it.
    backbone : str
        Registry name.
    owner : str
        The process that answers for it, in the form of the tag `foldcam.owner`.
    done_before : str
        The completed fold run of the same fingerprint that was on record when the experiment began, and that is done
        again; empty where there was none.
    """

    job: str
    experiment_run: str
    backbone_run: str
    backbone: str
    owner: str
    done_before: str = ""


class NodeLedger(Ledger):
    """Keeps the run of one fold run on a node.

    Parameters
    ----------
    tracking_uri : str
        MLflow's address.
    name : str
        The MLflow experiment's name.
    errand : Errand
        What the run belongs to.

    Raises
    ------
    InputError
        The store cannot be used from here.
    """

    def __init__(self, tracking_uri: str, name: str, errand: Errand) -> None:
        super().__init__(tracking_uri, name)
        self.experiment_run_id = errand.experiment_run
        self._backbones = {errand.backbone: errand.backbone_run}
        self._marks = {JOB: errand.job, OWNER: errand.owner}
        self._done_before = {errand.done_before}
        self._job = errand.job
        self.taken_over = False

    def take_over(self, fingerprint: str) -> FoldRecord | None:
        """End what a lost node left open of this very job; give its record if it had completed the fold run."""
        for run in runs_of_job(self, [self._job]):
            tags = run.data.tags
            if tags.get("foldcam.status") == "completed":
                return self.runs.completed_fold(fingerprint)
            if run.info.status == "RUNNING":
                self.runs.end(run.info.run_id, "failed", CUT_SHORT)
                self.taken_over = True
        return None

    def end(self, run_id: str, status: Status, reason: str = "") -> None:
        """End the run truthfully.

        Raises
        ------
        Superseded
            It was to be completed, and has been ended by another node meanwhile.
        Unfinished
            Its content waits on this node: the tracking server cannot be reached.
        """
        with suppress(Unreachable):
            is_whole = status == "completed" and not self.waits(run_id)
            if is_whole and self.client.get_run(run_id).info.status != "RUNNING":
                raise Superseded("the fold run was taken for lost and begun again elsewhere; this one does not count")
        super().end(run_id, status, reason)
        self.deliver()


def runs_of_job(ledger: Ledger, jobs: Iterable[str]) -> list[Run]:
    """Give all fold runs that were made for some jobs, the newest first."""
    found: list[Run] = []
    for job in jobs:
        found += ledger.client.search_runs(
            [ledger.runs.experiment_id],
            f"tags.`{JOB}` = '{job}'",
            run_view_type=ViewType.ACTIVE_ONLY,
            order_by=["attributes.start_time DESC"],
        )
    return found


def end_left(ledger: Ledger, jobs: Iterable[str], reason: str) -> None:
    """End what some jobs have left open, after their engine has given them up or the experiment was stopped."""
    for run in runs_of_job(ledger, jobs):
        if run.info.status == "RUNNING":
            ledger.runs.end(run.info.run_id, "failed", reason)
