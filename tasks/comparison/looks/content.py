"""What backbones' and experiments' runs hold of where backbones look, as records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.comparison.backbone import Fetch
from tasks.comparison.looks.agreeing import BackboneAgreement, between_backbones
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.looking import Looks
from tasks.comparison.looks.told import doubts, look_findings, share_of_time
from tasks.dataset.audit.findings import Finding
from tasks.dataset.spreadsheets import inert
from tasks.tracking.records import File, Metrics, Record, Text
from tasks.workers.plan import Plan

FINDINGS = "findings.json"
"""The experiment's artifact that holds findings, doubts and what is told at the end of a run."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Where all backbones look, best backbone first.

    Attributes
    ----------
    looks : mapping of str to Looks
        By backbone.
    between : BackboneAgreement
        How far they agree.
    findings : tuple of Finding
        Classes at the border or in the corners of whose images they look, and maps that are too coarse.
    doubts : tuple of str
        What must be told of maps that are not to be believed.
    share : str
        What share of the time the measures took, in words; empty where that is not known.
    """

    looks: Mapping[str, Looks] = field(default_factory=dict)
    between: BackboneAgreement = field(default_factory=BackboneAgreement)
    findings: tuple[Finding, ...] = ()
    doubts: tuple[str, ...] = ()
    share: str = ""

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing a picture."""
        advice = dict.fromkeys(finding.advice for finding in self.findings)
        return [*(finding.message for finding in self.findings), *advice, *self.doubts]

    @property
    def notes(self) -> list[str]:
        """What is told in the terminal."""
        return [*(finding.message for finding in self.findings), *self.doubts, *([self.share] if self.share else [])]


def see(
    plan: Plan, looks: Mapping[str, Looks], logged: Mapping[str, FoldExplanations], seconds: Mapping[str, float]
) -> Seen:
    """Bring together where backbones look.

    Parameters
    ----------
    plan : Plan
        Images and settings.
    looks, logged : mapping of str
        By backbone, those that have finished fold runs, best first.
    seconds : mapping of str to float
        By backbone, seconds that its fold runs took together.
    """
    explained = {name: own for name, own in logged.items() if looks[name].means}
    groups = plan.manifest.table.set_index("path")["group"]
    methods = [str(name) for name in plan.experiment.explanation.methods]
    return Seen(
        looks=looks,
        between=between_backbones(explained, methods, groups, seed=plan.experiment.seed),
        findings=tuple(look_findings(looks, plan.experiment.data.audit.off)),
        doubts=tuple(doubts(looks)),
        share=share_of_time(looks, seconds, plan.experiment.explanation.faithfulness_share),
    )


def backbone_looks(looks: Looks, folder: Path) -> Iterator[Record]:
    """Write a backbone's tables into `folder` and give the records of its run."""
    if looks.metrics:
        yield Metrics(looks.metrics)
    if looks.seconds_share is not None:
        yield Metrics({"explain/seconds_share": looks.seconds_share})
    for name, table in (("truth", looks.truth), ("location", looks.location)):
        if table is not None:
            table.to_parquet(folder / f"{name}.parquet", index=False)
            yield File(folder / f"{name}.parquet", "explanations")
    if pairs := _holdout_pairs(looks):
        inert(pd.concat(pairs, ignore_index=True)).to_csv(folder / "holdout_agreement.csv", index=False)
        yield File(folder / "holdout_agreement.csv", "explanations")


def experiment_looks(seen: Seen, folder: Path) -> Iterator[Record]:
    """Write what the backbones' looks come to into `folder` and give the records of the experiment's run."""
    for name, own in seen.looks.items():
        values = {key: value for key, value in own.metrics.items() if not key.endswith(("_low", "_high"))}
        values |= {
            f"explain/{method}/backbone_agreement": found.mean
            for (backbone, method), found in seen.between.of_each.items()
            if backbone == name and np.isfinite(found.mean)
        }
        if values:
            yield Metrics({f"{name}/{key}": value for key, value in values.items()})
    tables = [own.where.assign(backbone=name) for name, own in seen.looks.items() if len(own.where)]
    if tables:
        table = pd.concat(tables, ignore_index=True)
        columns = ["backbone", *table.columns.drop("backbone")]
        inert(table[columns]).to_csv(folder / "where_it_looks.csv", index=False)
        yield File(folder / "where_it_looks.csv")
    if len(seen.between.pairs):
        inert(seen.between.pairs).to_csv(folder / "agreement.csv", index=False)
        yield File(folder / "agreement.csv")
    told = {"findings": [asdict(finding) for finding in seen.findings], "doubts": seen.doubts, "notes": seen.notes}
    yield Text(json.dumps(told, indent=1, ensure_ascii=False), FINDINGS)


def notes_of(run_id: str, fetch: Fetch) -> tuple[str, ...]:
    """Give what an experiment's run tells at its end, from its `findings.json`; nothing where it has none."""
    try:
        told = json.loads(fetch(run_id, FINDINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    return tuple(told["notes"])


def _holdout_pairs(looks: Looks) -> list[pd.DataFrame]:
    tables = []
    for method, found in looks.holdout.items():
        table = found.pairs.copy()
        table.insert(0, "method", method)
        tables.append(table)
    return tables
