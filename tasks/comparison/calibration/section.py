"""The part of a comparison that tells whether probabilities mean what they say, and what scaling does for that."""

from __future__ import annotations

import io
import math
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from tasks.comparison.calibration.calibrated import Calibrated, calibrate, mean_temperature
from tasks.comparison.calibration.tables import (
    AS_THEY_ARE,
    SCALED,
    bins_table,
    change_tables,
    scaling_tables,
    scores_table,
    states,
)
from tasks.comparison.calibration.told import calibration_sentences
from tasks.comparison.evidence import Evidence
from tasks.comparison.report.section_files import TABLES
from tasks.comparison.section import Drawing, Section
from tasks.dataset.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BRIER = ("reliability", "resolution", "uncertainty")


def calibration_section(evidence: Evidence) -> Section | None:
    """Give the part on calibration; None where no backbone has finished a fold."""
    if evidence.paired is None:
        return None
    found = [calibrate(evidence, name) for name in evidence.names]
    classes = evidence.plan.manifest.classes
    on = f"out-of-fold predictions of {counted(evidence.paired.n_images, 'image')}"
    return Section(
        key="calibration",
        title="Calibration",
        sentences=calibration_sentences(
            found,
            evidence.plan.experiment.comparison.calibration,
            grouped=evidence.paired.n_groups < evidence.paired.n_images,
        ),
        tables=(
            scores_table(found, on),
            *change_tables(found, on),
            *scaling_tables(found, classes),
            bins_table(found, on),
        ),
        drawings=tuple(_drawing(own, on) for own in found),
        backbone_metrics={own.name: _metrics(own) for own in found},
        files=_files(found),
    )


def _drawing(own: Calibrated, on: str) -> Drawing:
    after = "" if own.after is None else ", before and after scaling"
    return Drawing(
        f"reliability_{own.name}",
        f"How often {own.name} is right at each probability that it gives its decisions{after} ({on}). Dots on the "
        "diagonal mean what they say; grey bars are where chance alone would put them.",
        partial(_diagram, own),
    )


def _diagram(own: Calibrated) -> Figure:
    from tasks.evaluation.reliability_figure import reliability_figure

    titles = {AS_THEY_ARE: f"{own.name}, {AS_THEY_ARE}"}
    if own.after is not None:
        titles[SCALED] = f"{SCALED}, temperature {mean_temperature(own.scalings):.2f}"
    return reliability_figure({titles[name]: state.forecasts for name, state in states(own).items()})


def _metrics(own: Calibrated) -> dict[str, float]:
    values = {
        "calibration/ece_width": own.before.by_width.value,
        "calibration/ece_mass": own.before.by_mass.value,
        "calibration/excess_confidence": own.before.excess.value,
        **{f"calibration/brier_{part}": getattr(own.before.parts, part) for part in _BRIER},
    }
    if own.after is not None:
        values |= {
            "calibration/temperature": mean_temperature(own.scalings),
            **{f"calibrated/{name}": own.after.scores[name] for name in ("log_loss", "brier")},
            "calibrated/ece_width": own.after.by_width.value,
            "calibrated/ece_mass": own.after.by_mass.value,
        }
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _files(found: list[Calibrated]) -> dict[str, bytes]:
    """Give the scaled out-of-fold predictions of the backbones that were scaled, as a file by its name."""
    tables = [own.table.assign(backbone=own.name) for own in found if own.after is not None]
    if not tables:
        return {}
    content = io.BytesIO()
    pd.concat(tables, ignore_index=True).to_parquet(content, index=False)
    return {f"{TABLES}/calibrated_predictions.parquet": content.getvalue()}
