"""What a node of a cluster is asked to do: a small job of names, numbers and addresses, never arrays or models."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.dataset.store import remote_home
from tasks.tracking.node_ledger import Errand
from tasks.workers.plan import Cell, Plan, versions


@dataclass(frozen=True)
class Job:
    """A fold run, or the preparation of a backbone, for a node of a cluster.

    Attributes
    ----------
    experiment : dict
        The experiment as JSON has it.
    data_root : str
        The folder of the images, at the same path on every node; empty where they come from an address.
    mirror : str
        Where images from an address lie below a node's own folder of what it has fetched; empty otherwise.
    plan : str
        Fingerprint of the experiment, which the node must come to as well.
    versions : dict of str to str
        Packages that decide a result, as they are where the experiment was started.
    backbone, fold : str, int
        Which fold run; the fold of a preparation is -1.
    tracking_uri : str
        MLflow's address.
    errand : Errand
        What the fold run's record belongs to.
    channel : str
        Where word of its progress goes; see `tasks.workers.cluster_channel`.
    """

    experiment: dict[str, Any] = field(repr=False)
    data_root: str
    mirror: str
    plan: str
    versions: dict[str, str] = field(repr=False)
    backbone: str
    fold: int
    tracking_uri: str
    errand: Errand
    channel: str

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.experiment["name"])


def make_job(plan: Plan, cell: Cell, tracking_uri: str, errand: Errand, channel: str) -> Job:
    """Give the job of a fold run, or with fold -1 of a backbone's preparation.

    Parameters
    ----------
    plan : Plan
        The experiment's.
    cell : (backbone, fold)
        Which.
    tracking_uri : str
        MLflow's address.
    errand : Errand
        What the fold run's record belongs to.
    channel : str
        Where word of its progress goes.
    """
    by_path = data_root_of(plan)
    return Job(
        experiment=plan.experiment.model_dump(mode="json"),
        data_root=by_path,
        mirror="" if by_path else plan.manifest.root.relative_to(remote_home()).as_posix(),
        plan=plan.fingerprint,
        versions=versions(),
        backbone=cell[0],
        fold=cell[1],
        tracking_uri=tracking_uri,
        errand=errand,
        channel=channel,
    )


def data_root_of(plan: Plan) -> str:
    """Give the folder of the images that all nodes must see; empty where they come from an address."""
    return str(plan.manifest.root) if isinstance(plan.experiment.data.path, Path) else ""
