"""Reads an experiment file and audits its data; trains nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.comparison.experiment import warnings_about
from tasks.config import Experiment, InputError
from tasks.dataset.audit.audit import Audit, audit
from tasks.dataset.folds.leaks import Leak
from tasks.planning import check_settings, plan_folds, read_images
from tasks.workers.plan import Plan


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes
    ----------
    experiment : Experiment
        The settings.
    audited : Audit
        What would spoil the numbers.
    plan : Plan or None
        Images, folds and fold runs; None if there is a leak.
    leak : Leak or None
        Why `foldcam run` would not begin: images that belong together stand on two sides of a split.
    """

    experiment: Experiment
    audited: Audit
    plan: Plan | None
    leak: Leak | None = None

    @property
    def warnings(self) -> list[str]:
        """What every report would say."""
        return [] if self.plan is None else warnings_about(self.plan)

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam check --json`."""
        return {
            "experiment": self.experiment.name,
            "backbones": list(self.experiment.backbones),
            "n_folds": 0 if self.plan is None else self.plan.n_folds,
            "fold_runs": 0 if self.plan is None else len(self.plan.fingerprints),
            "warnings": self.warnings,
            **self.audited.to_json(),
        }

    def write(self, folder: Path) -> None:
        """Write `audit.html` and `audit.json` into a folder, which is made if it is not there.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "audit.html").write_text(self.audited.to_html(), encoding="utf-8")
            findings = json.dumps(self.audited.to_json(), indent=1, ensure_ascii=False)
            (folder / "audit.json").write_text(findings, encoding="utf-8")
        except OSError as fault:
            raise InputError(f"--out: {folder} cannot be written: {fault.strerror or fault}.") from fault


def check_experiment(experiment: Experiment, *, fresh: bool = False) -> Check:
    """Read the images, make the folds and audit both, also where a leak would stop a run.

    Raises
    ------
    InputError
        Whatever else would stop `foldcam run` before training.
    """
    check_settings(experiment)
    manifest = read_images(experiment, fresh=fresh)
    try:
        plan = plan_folds(experiment, manifest)
    except Leak as leak:
        return Check(experiment, audit(manifest, leak.fold_of_row, experiment.data), None, leak)
    return Check(experiment, audit(manifest, plan.fold_of_row, experiment.data), plan)


def print_check(check: Check, console: Console) -> None:
    """Print counts by class and fold, and the findings."""
    audited = check.audited
    table = Table(title=f"{check.experiment.name}: images by class and fold", title_justify="left")
    table.add_column("class", overflow="fold")
    for column in audited.counts.columns:
        table.add_column(str(column) if column == "holdout" else f"fold {column}", justify="right")
    table.add_column("all", justify="right")
    for label, counts in audited.counts.iterrows():
        table.add_row(str(label), *(str(count) for count in counts), str(int(counts.sum())))
    console.print(table)
    for finding in audited.findings:
        console.print(f"{finding.severity} {finding.code}: {finding.message}", markup=False, highlight=False)
    for warning in check.warnings:
        console.print(f"warn {warning}", markup=False, highlight=False)
    if audited.off:
        console.print(f"Not reported (data.audit.off): {', '.join(audited.off)}.", markup=False, highlight=False)
    plan = check.plan
    if plan is not None:
        fold_runs = f"{len(plan.backbones)} backbones × {plan.n_folds} folds = {len(plan.fingerprints)} fold runs"
        console.print(f"{len(plan.manifest.table)} images, {fold_runs}. Nothing stands in the way of `foldcam run`.")
