"""Runs that must stay, whatever the rules say: for a registered model, for later experiments, or while they run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from mlflow import MlflowClient

from tasks.tracking.artifacts import Artifacts
from tasks.tracking.cleaning.rules import Rules, judge
from tasks.tracking.cleaning.trees import Tree
from tasks.tracking.fold_runs import completed_folds
from tasks.tracking.outbox import waiting_home
from tasks.tracking.registry import EXPERIMENT_RUN, all_registries

RUNS = "it runs, or its process is on another machine and has not ended it"
NAME_RUNS = "an experiment of this name runs"
WAITS = "results wait for `foldcam sync`"


def needed_runs(client: MlflowClient, trees: Sequence[Tree], rules: Rules, now: int) -> dict[str, str]:
    """Give why runs must stay, by their ids.

    What an experiment reuses of others is known only when it has ended, so that nothing of a name goes while one of
    that name runs; and while results wait on disk, nothing goes at all.
    """
    if _anything_waits():
        return {tree.top.run_id: WAITS for tree in trees}
    needed = _registered(client)
    running = {tree.experiment for tree in trees if tree.runs}
    for tree in trees:
        if tree.runs:
            needed[tree.top.run_id] = RUNS
        elif tree.experiment in running:
            needed.setdefault(tree.top.run_id, NAME_RUNS)
    with tempfile.TemporaryDirectory(prefix="foldcam-clean-") as scratch:
        _add_reused(client, Artifacts(client, Path(scratch)), trees, rules, now, needed)
    return needed


def _anything_waits() -> bool:
    home = waiting_home()
    return home.is_dir() and any(not part.name.startswith(".") for part in home.iterdir())


def _registered(client: MlflowClient) -> dict[str, str]:
    """Give the runs that versions of registered models were made by, with the versions."""
    needed: dict[str, str] = {}
    for registry in all_registries(client):
        aliases: dict[str, list[str]] = {}
        for alias, number in registry.aliases().items():
            aliases.setdefault(number, []).append(alias)
        for version in reversed(registry.versions()):
            known = f", {' and '.join(sorted(aliases[version.number]))}," if version.number in aliases else ""
            for run_id in {version.run_id, version.tags.get(EXPERIMENT_RUN, "")} - {""}:
                needed[run_id] = f"version {version.number}{known} of the registered model {registry.name} is of it"
    return needed


def _add_reused(
    client: MlflowClient,
    artifacts: Artifacts,
    trees: Sequence[Tree],
    rules: Rules,
    now: int,
    needed: dict[str, str],
) -> None:
    """Add the fold runs that experiments which stay have reused, until no more experiments stay for that."""
    looked: set[str] = set()
    while True:
        units = judge(trees, rules, now, needed)
        staying = {unit.tree.top.run_id: unit.tree for unit in units if unit.why_kept or unit.is_part}
        new = [tree for key, tree in staying.items() if key not in looked]
        if not new:
            return
        for tree in new:
            looked.add(tree.top.run_id)
            own = {run.run_id for run in tree.all}
            for backbone in tree.of_level("backbone"):
                for run_id in completed_folds(client, artifacts, backbone.run_id).values():
                    if run_id not in own:
                        why = f"{tree.top.name} of {tree.experiment} ({tree.top.run_id[:8]}), which stays, reuses it"
                        needed.setdefault(run_id, why)
