"""Reads an experiment file and audits its data; trains nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.comparison.experiment import warnings_about
from tasks.config import Experiment
from tasks.dataset.audit import Audit, audit
from tasks.planning import load_plan
from tasks.workers.plan import Plan


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes
    ----------
    plan : Plan
        Images, folds and fold runs.
    audited : Audit
        What would spoil the numbers.
    """

    plan: Plan
    audited: Audit

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam check --json`."""
        return {
            "experiment": self.plan.experiment.name,
            "backbones": list(self.plan.backbones),
            "n_folds": self.plan.n_folds,
            "fold_runs": len(self.plan.fingerprints),
            "warnings": warnings_about(self.plan),
            **self.audited.to_json(),
        }


def check_experiment(experiment: Experiment, *, fresh: bool = False) -> Check:
    """Read the images, make the folds and audit both.

    Raises
    ------
    InputError
        Whatever would stop `foldcam run` before training.
    """
    plan = load_plan(experiment, fresh=fresh)
    return Check(plan, audit(plan.manifest, plan.fold_of_row))


def print_check(check: Check, console: Console) -> None:
    """Print counts by class and fold, and the findings."""
    plan, audited = check.plan, check.audited
    table = Table(title=f"{plan.experiment.name}: images by class and fold", title_justify="left")
    table.add_column("class", overflow="fold")
    for column in audited.counts.columns:
        table.add_column(str(column) if column == "holdout" else f"fold {column}", justify="right")
    table.add_column("all", justify="right")
    for label, counts in audited.counts.iterrows():
        table.add_row(str(label), *(str(count) for count in counts), str(int(counts.sum())))
    console.print(table)
    for finding in audited.findings:
        console.print(f"{finding.severity} {finding.code}: {finding.message}", markup=False, highlight=False)
    for warning in warnings_about(plan):
        console.print(f"warn {warning}", markup=False, highlight=False)
    fold_runs = f"{len(plan.backbones)} backbones × {plan.n_folds} folds = {len(plan.fingerprints)} fold runs"
    console.print(f"{len(plan.manifest.table)} images, {fold_runs}. Nothing stands in the way of `foldcam run`.")
