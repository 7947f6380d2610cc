"""One experiment's tree of runs: opened, gone on with, and ended, whatever happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from mlflow.exceptions import MlflowException

from tasks.config import InputError, Unfinished
from tasks.tracking.client import KEY, PatientClient
from tasks.tracking.delivery import deliver, deliver_all, waiting_told
from tasks.tracking.moments import moments
from tasks.tracking.outbox import Head, Outbox, Seal
from tasks.tracking.owners import this_process
from tasks.tracking.pages import Pages
from tasks.tracking.patience import Unreachable, for_at_most, patience_with
from tasks.tracking.runs import EXPERIMENT_RUN, OWNER, FoldRecord, Level, Runs, Status, started_tags
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
        self.name = name
        self.client: PatientClient = open_client(tracking_uri)
        self.runs = Runs(self.client, experiment_id(self.client, name))
        self.pages = Pages(self.client, self.runs.experiment_id)
        self.experiment_run_id = ""
        self.resumed = False
        self._anything_done = False
        self._backbones: dict[str, str] = {}
        self._marks: dict[str, str] = {}
        self._done_before: set[str] = set()
        self._open: dict[str, None] = {}
        self._heads: dict[str, Head] = {}
        self._delivered: dict[str, str] = {}
        self._waiting: list[str] = []
        self._outbox = Outbox()
        self._lock = threading.Lock()

    def look_up(self, fingerprint: str, of_folds: Mapping[tuple[str, int], str]) -> Known:
        """Find this experiment and the fold runs that are done already."""
        known = Known(self.runs.find("experiment", fingerprint), self.runs.completed_folds(list(of_folds.values())))
        self._done_before = {record.run_id for record in known.folds.values()}
        return known

    def done_meanwhile(self, fingerprint: str) -> FoldRecord | None:
        """Give the fold run that another experiment has completed since `look_up`; None also where that is unknown."""
        try:
            found = self.runs.completed_fold(fingerprint)
        except (MlflowException, Unreachable):
            return None
        return None if found is None or found.run_id in self._done_before else found

    def open_experiment(self, known: Known, name: str, tags: Mapping[str, str]) -> str:
        """Go on with the experiment's run, or start one."""
        self.runs.begin_after_all()
        self.runs.end_orphans()
        self.resumed = known.run_id is not None
        self._anything_done = bool(known.folds)
        if known.run_id is not None:
            self.experiment_run_id = known.run_id
            self.runs.resume(known.run_id)
            self._note(self._head("experiment", name, known.run_id))
        else:
            self.experiment_run_id = self._start("experiment", name, None, tags)
        return self.experiment_run_id

    def open_backbone(self, backbone: str, fingerprint: str, data_digest: str) -> tuple[str, bool]:
        """Go on with a backbone's run below the experiment run, or start one; give its id and whether it is new."""
        found = self.runs.find("backbone", fingerprint, parent=self.experiment_run_id)
        if found is not None:
            self.runs.resume(found)
            run_id = found
            self._note(self._head("backbone", backbone, found))
        else:
            tags = {
                "foldcam.backbone": backbone,
                "foldcam.fingerprint": fingerprint,
                "foldcam.data_digest": data_digest,
                EXPERIMENT_RUN: self.experiment_run_id,
            }
            run_id = self._start("backbone", backbone, self.experiment_run_id, tags)
        self._backbones[backbone] = run_id
        return run_id, found is None

    def backbone_run(self, backbone: str) -> str:
        """Give the id of an opened backbone run."""
        return self._backbones[backbone]

    def open_fold(self, backbone: str, fold: int, fingerprint: str, data_digest: str) -> str:
        """Start a fold run below its backbone's run; one that waits where the server cannot be reached.

        What is given then is no id of MLflow's, and `settled` gives that when it is there.
        """
        tags = {
            "foldcam.backbone": backbone,
            "foldcam.fold": str(fold),
            "foldcam.fingerprint": fingerprint,
            "foldcam.data_digest": data_digest,
            EXPERIMENT_RUN: self.experiment_run_id,
            **self._marks,
        }
        return self._start("fold", f"{backbone}/{fold}", self._backbones[backbone], tags)

    def _start(self, level: Level, name: str, parent: str | None, tags: Mapping[str, str]) -> str:
        own, started = started_tags(level, parent, tags), moments.now()
        head = Head(self.tracking_uri, self.name, level, name, own[KEY], None, own, started, own[OWNER], this_process())
        try:
            run_id = self.runs.make(name, own, started)
        except Unreachable:
            if level != "fold":
                raise
            run_id = f"waiting-{head.key}"
            self._outbox.parcel(head)
        else:
            head = replace(head, run_id=run_id)
        self._note(head, run_id)
        return run_id

    def _head(self, level: Level, name: str, run_id: str) -> Head:
        """Give the head of a run that was made by an earlier call."""
        owner = this_process()
        return Head(self.tracking_uri, self.name, level, name, run_id, run_id, {}, moments.now(), owner, owner)

    def count_completed(self) -> None:
        """Take note that a fold run was completed on another machine."""
        with self._lock:
            self._anything_done = True

    def writer(self, run_id: str) -> Writer:
        """Give the writer of a run; a fold run's content waits on disk where the server cannot be reached."""
        head = self._heads.get(run_id)
        return Writer(self.tracking_uri, run_id, head if head and head.level == "fold" else None, self.client)

    def head(self, run_id: str) -> dict[str, Any]:
        """Give what a worker needs to know of a run so that its content can wait; see `Head`."""
        return self._heads[run_id].to_json()

    def end(self, run_id: str, status: Status, reason: str = "") -> None:
        """End an open run truthfully; one that has been ended, by whichever thread, stays as it is.

        Where the server cannot be reached, its end waits on disk, with whatever of its content does.
        """
        with self._lock:
            if run_id not in self._open:
                return
            del self._open[run_id]
            self._anything_done = self._anything_done or status == "completed"
        head = self._heads[run_id]
        parcel = self._outbox.find(head.key)
        if parcel is None:
            try:
                self.runs.end(run_id, status, reason)
            except Unreachable:
                parcel = self._outbox.parcel(head)
            else:
                return
        parcel.close(Seal(status, reason, moments.now()))
        with self._lock:
            self._waiting.append(run_id)
        with suppress(Unreachable), for_at_most(0):
            self._deliver(run_id)

    def waits(self, run_id: str) -> bool:
        """Tell whether some of an open run's content waits on disk."""
        return self._outbox.find(self._heads[run_id].key) is not None

    def deliver(self) -> None:
        """Deliver what waits of the runs that this ledger has ended; all of it is there when this comes back.

        Raises
        ------
        Unfinished
            The server cannot be reached; says what waits, where, and how to go on.
        """
        try:
            for run_id in list(self._waiting):
                self._deliver(run_id, wait=True)
        except Unreachable as fault:
            raise self.unfinished(fault) from fault

    def deliver_left(self) -> int:
        """Deliver what earlier calls have left for this server; give how many runs.

        Raises
        ------
        Unfinished
            The server cannot be reached.
        """
        try:
            return len(deliver_all(self.client, self.tracking_uri, self._outbox).delivered)
        except Unreachable as fault:
            raise self.unfinished(fault) from fault

    def unfinished(self, fault: Unreachable) -> Unfinished:
        """Give what to tell people of a server that cannot be reached: also what waits, and how to go on."""
        return Unfinished(waiting_told(fault.reason, self._outbox)) if self._outbox.parcels() else fault

    def settled(self, run_id: str) -> str:
        """Give MLflow's id of a run, which may have waited when it was opened."""
        return self._delivered.get(run_id, run_id)

    def _deliver(self, run_id: str, *, wait: bool = False) -> None:
        head = self._heads[run_id]
        parcel = self._outbox.find(head.key)
        done = None if parcel is None else deliver(self.client, parcel, wait=wait)
        if done is not None:
            self._delivered[run_id] = done.run_id
        elif head.run_id is None:  # another process has delivered it
            found = self.client.run_with_key(self.runs.experiment_id, head.key)
            self._delivered[run_id] = run_id if found is None else str(found.info.run_id)
        with self._lock:
            if run_id in self._waiting:
                self._waiting.remove(run_id)

    def end_open(self, reason: str) -> None:
        """End whatever is still open, folds first: after Ctrl-C or a fault of foldcam's own. Nothing is waited for."""
        patience_with(self.tracking_uri).give_up()
        with self._lock:
            left = list(reversed(self._open))
        for run_id in left:
            holds_folds = run_id in self._backbones.values() or run_id == self.experiment_run_id
            try:
                self.end(run_id, "partial" if holds_folds and self._anything_done else "failed", reason)
            except (MlflowException, InputError, OSError) as fault:
                _log.warning("The MLflow run %s could not be ended: %s", run_id, str(fault).partition("\n")[0])

    def _note(self, head: Head, run_id: str = "") -> None:
        with self._lock:
            self._heads[run_id or str(head.run_id)] = head
            self._open[run_id or str(head.run_id)] = None
