"""Runs of the three levels: made, found again, ended."""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Literal

from mlflow import MlflowClient
from mlflow.entities import Run, RunTag, ViewType

from tasks.tracking.client import KEY
from tasks.tracking.half_written import remove_half_written
from tasks.tracking.moments import moments
from tasks.tracking.owners import is_orphan, this_process

Level = Literal["experiment", "backbone", "fold", "prediction"]
Status = Literal["started", "completed", "partial", "failed"]

OWNER = "foldcam.owner"
ERROR = "foldcam.error"
PARENT = "mlflow.parentRunId"
SMALLER_BATCH = "foldcam.smaller_batch"
"""Tag of a fold run that ran out of memory with the batch size of its settings: the one that it was done with."""
EXPERIMENT_RUN = "foldcam.experiment_run"
"""Tag of a backbone's or fold's run: the experiment's run that it was made for."""
JOB = "foldcam.job"
"""Tag of a fold run done on a cluster: the job that it was made for, the same one however often it is begun."""
MACHINE, DEVICE = "foldcam.cost_machine", "foldcam.cost_device"
"""Tags of a backbone run: what its speed was measured on, the machine and what of it computes."""


@dataclass(frozen=True)
class FoldRecord:
    """A completed fold run as MLflow has it."""

    run_id: str
    backbone: str
    fold: int
    fingerprint: str
    seconds: float | None
    metrics: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True)
class BackboneRecord:
    """A backbone run as MLflow has it."""

    run_id: str
    metrics: Mapping[str, float] = field(repr=False)

    def below(self, prefix: str) -> dict[str, float]:
        """Give the metrics whose names begin with `prefix`, without it."""
        return {name.removeprefix(prefix): value for name, value in self.metrics.items() if name.startswith(prefix)}


@dataclass(frozen=True)
class CostRecord:
    """What a backbone was measured to cost: figures by name, and the device that computed."""

    figures: Mapping[str, float]
    device: str


class Runs:
    """The runs of one MLflow experiment.

    Parameters
    ----------
    client : MlflowClient
        The store.
    experiment_id : str
        MLflow's id of the experiment.
    """

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self.client = client
        self.experiment_id = experiment_id

    def start(self, level: Level, name: str, *, parent: str | None, tags: Mapping[str, str]) -> str:
        """Make a run and give its id; it is tagged `started` until `end`."""
        return self.make(name, started_tags(level, parent, tags), moments.now())

    def make(self, name: str, tags: Mapping[str, str], started: int) -> str:
        """Make a run with all its tags and give its id; `started` in milliseconds since 1970."""
        run = self.client.create_run(self.experiment_id, start_time=started, tags=dict(tags), run_name=name)
        return str(run.info.run_id)

    def resume(self, run_id: str) -> None:
        """Open a run again that an earlier call has ended; what stopped it then is no longer true of it."""
        run = self.client.get_run(run_id)
        for logged in run.data._metric_objs:
            moments.begin_after(logged.timestamp)
        if ERROR in run.data.tags:
            self.client.delete_tag(run_id, ERROR)
        tags = {OWNER: this_process(), "foldcam.status": "started"}
        self.client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])
        self.client.update_run(run_id, status="RUNNING")

    def end(self, run_id: str, status: Status, reason: str = "", ended: int | None = None) -> None:
        """End a run truthfully: a failed one is FAILED in MLflow, with its reason as a tag.

        `ended` in milliseconds since 1970; default: now.
        """
        tags = {"foldcam.status": str(status)} | ({ERROR: reason[:4900]} if reason else {})
        self.client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])
        end_time = moments.now() if ended is None else ended
        self.client.set_terminated(run_id, "FAILED" if status == "failed" else "FINISHED", end_time=end_time)
        if status == "failed":
            remove_half_written(self.client, run_id)

    def begin_after_all(self) -> None:
        """Let what is recorded from now on be newer than all that is on record, whatever the clock says."""
        for run in self._search("", limit=1):
            moments.begin_after(run.info.start_time)

    def find(self, level: Level, fingerprint: str, parent: str | None = None) -> str | None:
        """Give the newest run of this level and fingerprint (below `parent`), or None."""
        wanted = f"tags.`foldcam.level` = '{level}' and tags.`foldcam.fingerprint` = '{fingerprint}'"
        if parent is not None:
            wanted += f" and tags.`{PARENT}` = '{parent}'"
        found = self._search(wanted, limit=1)
        return str(found[0].info.run_id) if found else None

    def completed_folds(self, fingerprints: Sequence[str]) -> dict[str, FoldRecord]:
        """Give the newest completed fold run of each fingerprint that has one."""
        wanted = set(fingerprints)
        records: dict[str, FoldRecord] = {}
        for run in self._search("tags.`foldcam.level` = 'fold' and tags.`foldcam.status` = 'completed'"):
            fingerprint = run.data.tags.get("foldcam.fingerprint", "")
            if fingerprint in wanted and fingerprint not in records:
                records[fingerprint] = _fold_record(run)
        return records

    def completed_fold(self, fingerprint: str) -> FoldRecord | None:
        """Give the newest completed fold run of a fingerprint, or None."""
        wanted = f"tags.`foldcam.fingerprint` = '{fingerprint}' and tags.`foldcam.status` = 'completed'"
        found = self._search(f"tags.`foldcam.level` = 'fold' and {wanted}", limit=1)
        return _fold_record(found[0]) if found else None

    def completed_tree(self, run_id: str) -> dict[str, BackboneRecord] | None:
        """Give the backbone runs of a completed experiment run by name, or None if it is not completed."""
        if self.client.get_run(run_id).data.tags.get("foldcam.status") != "completed":
            return None
        return self._backbones(f"tags.`{PARENT}` = '{run_id}'")

    def completed_backbones(self, run_id: str) -> dict[str, BackboneRecord]:
        """Give the completed backbone runs of an experiment run by name."""
        return self._backbones(f"tags.`foldcam.status` = 'completed' and tags.`{PARENT}` = '{run_id}'")

    def _backbones(self, wanted: str) -> dict[str, BackboneRecord]:
        found = self._search(f"tags.`foldcam.level` = 'backbone' and {wanted}")
        return {
            run.data.tags["foldcam.backbone"]: BackboneRecord(str(run.info.run_id), dict(run.data.metrics))
            for run in reversed(found)
        }

    def smaller_batches(self) -> dict[str, int]:
        """Give the batch size of each fold run that memory did not suffice for with that of its settings, by id."""
        found = self._search(f"tags.`foldcam.level` = 'fold' and tags.`{SMALLER_BATCH}` != ''")
        return {str(run.info.run_id): int(run.data.tags[SMALLER_BATCH]) for run in found}

    def recorded_cost(self, fingerprint: str, machine: str) -> CostRecord | None:
        """Give what a backbone of this fingerprint was last measured to cost on a machine, or None."""
        wanted = f"tags.`foldcam.level` = 'backbone' and tags.`foldcam.fingerprint` = '{fingerprint}'"
        for run in self._search(wanted):
            tags = run.data.tags
            if tags.get(MACHINE) == machine:
                record = BackboneRecord(str(run.info.run_id), dict(run.data.metrics))
                return CostRecord(record.below("cost/"), tags.get(DEVICE, ""))
        return None

    def end_orphans(self) -> list[str]:
        """End runs that a process of this machine left running when it was killed; give their ids."""
        ended = []
        for run in self._search("attributes.status = 'RUNNING' and tags.`foldcam.status` = 'started'"):
            if is_orphan(run.data.tags.get(OWNER, "")):
                self.end(run.info.run_id, "failed", "The process that made this run was killed before it could end it.")
                ended.append(str(run.info.run_id))
        return ended

    def _search(self, wanted: str, limit: int | None = None) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                wanted,
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=limit or 1000,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token or limit is not None:
                return runs


def started_tags(level: Level, parent: str | None, tags: Mapping[str, str]) -> dict[str, str]:
    """Give all tags that a run is made with: it has begun, by this process, and has a key that no other run has."""
    own = {
        "foldcam.level": level,
        "foldcam.status": "started",
        "foldcam.version": version("foldcam"),
        KEY: uuid.uuid4().hex,
        OWNER: this_process(),
        "mlflow.user": getpass.getuser(),
        "mlflow.source.name": "foldcam",
        "mlflow.source.type": "LOCAL",
    }
    if parent is not None:
        own[PARENT] = parent
    return own | dict(tags)


def _fold_record(run: Run) -> FoldRecord:
    tags, metrics = run.data.tags, dict(run.data.metrics)
    return FoldRecord(
        run_id=str(run.info.run_id),
        backbone=tags.get("foldcam.backbone", ""),
        fold=int(tags.get("foldcam.fold", -1)),
        fingerprint=tags.get("foldcam.fingerprint", ""),
        seconds=metrics.get("seconds/total"),
        metrics={name.removeprefix("test/"): value for name, value in metrics.items() if name.startswith("test/")},
    )
