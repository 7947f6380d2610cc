"""Reads an experiment file and audits its data; trains nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.display import counts_table
from tasks.comparison.experiment import model_warnings, warnings_about
from tasks.comparison.text import count
from tasks.config import Experiment, InputError
from tasks.dataset.audit.audit import Audit, audit
from tasks.dataset.folds.leaks import Leak
from tasks.planning import check_settings, load_photographs, plan_folds, read_images
from tasks.workers.photograph_plan import PhotographPlan
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


@dataclass(frozen=True)
class PhotographsCheck:
    """What a check of photographs without labels found; nothing is scored, so there is nothing to audit.

    Attributes
    ----------
    plan : PhotographPlan
        Settings and photographs.
    """

    plan: PhotographPlan
    leak: None = None

    @property
    def warnings(self) -> list[str]:
        """What is left out."""
        return [f"{path} cannot be read and is left out: {reason}." for path, reason in self.plan.photographs.rejected]

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam check --json`."""
        return {
            "experiment": self.plan.experiment.name,
            "backbones": list(self.plan.experiment.backbones),
            "n_folds": 0,
            "fold_runs": 0,
            "warnings": self.warnings,
            "data_digest": self.plan.photographs.digest,
            "n_images": len(self.plan.photographs.table),
            "n_unreadable": len(self.plan.photographs.rejected),
            "kind": "none",
            "findings": [],
        }

    def write(self, folder: Path) -> None:
        """Refuse: there is no audit.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError(f"--out {folder}: photographs without labels have no audit to write; leave --out out.")


def check_experiment(experiment: Experiment, *, fresh: bool = False) -> Check | PhotographsCheck:
    """Read the images, make the folds and audit both, also where a leak would stop a run.

    Photographs without labels are only read.

    Raises
    ------
    InputError
        Whatever else would stop `foldcam run` before training.
    """
    if experiment.data.labels.kind == "none":
        return PhotographsCheck(load_photographs(experiment, fresh=fresh))
    check_settings(experiment)
    manifest = read_images(experiment, fresh=fresh)
    try:
        plan = plan_folds(experiment, manifest)
    except Leak as leak:
        return Check(experiment, audit(manifest, leak.fold_of_row, experiment.data), None, leak)
    return Check(experiment, audit(manifest, plan.folds_of_row, experiment.data), plan)


def print_check(check: Check | PhotographsCheck, console: Console) -> None:
    """Print counts by class and fold, the findings, and what is to be said of the backbones."""
    if isinstance(check, PhotographsCheck):
        for warning in check.warnings:
            console.print(f"warn {warning}", markup=False, highlight=False)
        backbones = ", ".join(check.plan.experiment.backbones)
        n_images = count(len(check.plan.photographs.table), "photograph")
        console.print(f"{n_images} for {backbones}. Nothing stands in the way of `foldcam run`.", highlight=False)
        return
    audited = check.audited
    console.print(counts_table(check.experiment.name, audited, width=console.width))
    for finding in audited.findings:
        console.print(f"{finding.severity} {finding.code}: {finding.message}", markup=False, highlight=False)
    for warning in [] if check.plan is None else model_warnings(check.plan):
        console.print(f"warn {warning}", markup=False, highlight=False)
    if audited.off:
        console.print(f"Not reported (data.audit.off): {', '.join(audited.off)}.", markup=False, highlight=False)
    plan = check.plan
    if plan is not None:
        fold_runs = (
            f"{count(len(plan.backbones), 'backbone')} × {plan.n_folds} folds = {len(plan.fingerprints)} fold runs"
        )
        console.print(f"{len(plan.manifest.table)} images, {fold_runs}. Nothing stands in the way of `foldcam run`.")
