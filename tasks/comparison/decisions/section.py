"""The part of a comparison that tells what can be decided: thresholds, the good that acting does, abstaining."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from tasks.comparison.decisions.decided import COVERAGE, Decided, decide_with
from tasks.comparison.decisions.told import at_coverage, decision_sentences, threshold
from tasks.comparison.evidence import Evidence
from tasks.comparison.section import Drawing, Section, Table
from tasks.dataset.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COVERAGES = (1.0, 0.9, COVERAGE, 0.5)


def decisions_section(evidence: Evidence) -> Section | None:
    """Give the part on decisions; None where no backbone has finished a fold."""
    if evidence.paired is None:
        return None
    found = decide_with(evidence)
    calibrated = "" if evidence.plan.experiment.comparison.calibration == "none" else "scaled "
    on = f"{calibrated}out-of-fold probabilities of {counted(evidence.paired.n_images, 'image')}"
    return Section(
        key="decisions",
        title="Decisions",
        sentences=decision_sentences(found),
        tables=(*_thresholds(found, on), _abstaining(found, on), *_curves(found, on)),
        drawings=(_risk_drawing(found, on), *_benefit_drawings(found, on)),
        backbone_metrics={name: _metrics(found, name) for name in found.risks},
    )


def _thresholds(found: Decided, on: str) -> list[Table]:
    if not len(found.points):
        return []
    whose = "all backbones" if len(found.events) == 1 else f"{found.points['backbone'].iloc[0]}, the best one"
    some = "" if len(found.events) == found.n_events else f" (the {len(found.events)} with the most images)"
    caption = (
        f"From which probability on to call an image so, for a wanted rate{some}: {whose}, {on}, with 95 % intervals. "
        "The threshold was chosen on these images; what the mean of all folds does at it on held out images stands "
        "beside it where there are any."
    )
    titles = {
        **({"backbone": "Backbone"} if len(found.events) == 1 else {"event": "Called"}),
        "wanted": "Wanted",
        "target": "of",
        "threshold": "Threshold",
        "threshold_low": "from",
        "threshold_high": "to",
        "sensitivity": "Sensitivity",
        "sensitivity_low": "from",
        "sensitivity_high": "to",
        "specificity": "Specificity",
        "specificity_low": "from",
        "specificity_high": "to",
    }
    if found.n_holdout:
        titles |= {"holdout_sensitivity": "Held out: sensitivity", "holdout_specificity": "Held out: specificity"}
    cuts = dict.fromkeys(("threshold", "threshold_low", "threshold_high"), threshold)
    return [Table("thresholds", caption, found.points, titles, {"target": "{:g}".format, **cuts})]


def _abstaining(found: Decided, on: str) -> Table:
    rows = []
    for name, own in found.risks.items():
        row: dict[str, object] = {"backbone": name}
        row |= dict(zip(("area", "area_low", "area_high"), own.area, strict=True))
        row |= dict(zip(("excess", "excess_low", "excess_high"), own.excess, strict=True))
        for coverage in _COVERAGES:
            key = f"risk_{100 * coverage:.0f}"
            row |= dict(zip((key, f"{key}_low", f"{key}_high"), at_coverage(own, coverage), strict=True))
        rows.append(row)
    shown = f"risk_{100 * COVERAGE:.0f}"
    titles = {
        "backbone": "Backbone",
        "area": "Mean risk",
        "area_low": "from",
        "area_high": "to",
        "excess": "above the least possible",
        **{f"risk_{100 * part:.0f}": f"Risk on the surest {100 * part:.0f} %" for part in _COVERAGES if part < 1},
        "risk_100": "Risk on all",
    }
    order = ["backbone", "risk_100", "risk_90", shown, f"{shown}_low", f"{shown}_high", "risk_50", "area"]
    order += ["area_low", "area_high", "excess"]
    titles |= {f"{shown}_low": "from", f"{shown}_high": "to"}
    caption = (
        "The share of wrong decisions if a model abstains from the images that it is least sure of, and its mean over "
        f"all coverages ({on}), with 95 % intervals; less is better."
    )
    return Table("abstaining", caption, pd.DataFrame(rows), {name: titles[name] for name in order})


def _curves(found: Decided, on: str) -> list[Table]:
    """Give the points of the curves; nothing of them is for pages."""
    risks = [own.curve.assign(backbone=name) for name, own in found.risks.items()]
    benefits = [
        table.assign(event=event, backbone=name)
        for event, curves in found.curves.items()
        for name, table in curves.items()
    ]
    tables = [Table("risk_coverage", f"The points of the risk-coverage curves ({on}).", _led(risks, "backbone"), {})]
    if benefits:
        frame = _led(benefits, "event", "backbone")
        tables.append(Table("decision_curves", f"The points of the decision curves ({on}).", frame, {}))
    return tables


def _led(parts: list[pd.DataFrame], *first: str) -> pd.DataFrame:
    frame = pd.concat(parts, ignore_index=True)
    return frame[[*first, *frame.columns.drop(list(first))]]


def _risk_drawing(found: Decided, on: str) -> Drawing:
    caption = (
        f"What happens when a model may abstain: the share of wrong decisions among the images that it is surest of "
        f"({on})."
    )
    return Drawing("risk_coverage", caption, partial(_risk_figure, found))


def _risk_figure(found: Decided) -> Figure:
    from tasks.evaluation.decision_figures import risk_coverage_figure

    return risk_coverage_figure(found.risks)


def _benefit_drawings(found: Decided, on: str) -> list[Drawing]:
    drawings = []
    for number, event in enumerate(found.curves, 1):
        name = "decision_curve" if len(found.curves) == 1 else f"decision_curve_{number}"
        caption = (
            f"Net benefit of acting on {event!r} from each probability on: the share of images that it finds, less "
            f"that of false alarms weighed by the threshold's odds ({on}). Above both other lines, acting on the model "
            "does good."
        )
        drawings.append(Drawing(name, caption, partial(_benefit_figure, found, event)))
    return drawings


def _benefit_figure(found: Decided, event: str) -> Figure:
    from tasks.evaluation.decision_figures import decision_curve_figure

    return decision_curve_figure(found.curves[event], event)


def _metrics(found: Decided, name: str) -> dict[str, float]:
    own = found.risks[name]
    values = {
        "abstaining/area": own.area.value,
        "abstaining/excess_area": own.excess.value,
        f"abstaining/risk_at_{100 * COVERAGE:.0f}": at_coverage(own, COVERAGE).value,
    }
    if len(found.events) == 1 and len(found.points):
        for row in found.points[found.points["backbone"] == name].to_dict("records"):
            other = "specificity" if row["wanted"] == "sensitivity" else "sensitivity"
            values[f"thresholds/{other}_at_{row['wanted']}_{100 * row['target']:g}"] = float(row[other])
    return {key: value for key, value in values.items() if math.isfinite(value)}
