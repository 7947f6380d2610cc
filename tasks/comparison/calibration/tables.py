"""The tables of a comparison's part on calibration."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from tasks.comparison.calibration.calibrated import Calibrated, Calibration, mean_temperature
from tasks.comparison.calibration.told import sureness, verdict
from tasks.comparison.section import Table
from tasks.evaluation.reliability import N_BINS, reliability_table

AS_THEY_ARE, SCALED = "as they are", "scaled"


def states(own: Calibrated) -> dict[str, Calibration]:
    """Give a backbone's calibration as it is and, where it was scaled, scaled, by how tables name them."""
    return {AS_THEY_ARE: own.before} | ({} if own.after is None else {SCALED: own.after})


def scores_table(found: list[Calibrated], on: str) -> Table:
    """Give the table of scores; `on` says what they stand on, as in the other tables."""
    rows = [
        {
            "backbone": own.name,
            "probabilities": name,
            **{score: state.scores[score] for score in ("log_loss", "brier")},
            "ece_mass": state.by_mass.value,
            "ece_mass_chance": state.by_mass.chance_high,
            "ece_width": state.by_width.value,
            "ece_width_chance": state.by_width.chance_high,
            "confidence": state.confidence,
            "right": state.right,
            "excess": state.excess.value,
            "excess_low": state.excess.low,
            "excess_high": state.excess.high,
            **{f"brier_{part}": value for part, value in state.parts._asdict().items() if part != "brier"},
        }
        for own in found
        for name, state in states(own).items()
    ]
    return Table(
        "calibration",
        f"How far probabilities mean what they say, before and after scaling ({on}). ECE: expected calibration error "
        f"in {N_BINS} bins, beside what a perfectly calibrated model exceeds by chance in one case of twenty. Too sure "
        "by: mean probability of what was decided less the share that is right. Brier score = reliability − resolution "
        "+ uncertainty, but for the spread within bins.",
        pd.DataFrame(rows),
        {
            "backbone": "Backbone",
            "probabilities": "Probabilities",
            "log_loss": "Log loss",
            "brier": "Brier score",
            "ece_mass": "ECE, bins of equal mass",
            "ece_mass_chance": "by chance up to",
            "ece_width": "ECE, bins of equal width",
            "ece_width_chance": "by chance up to",
            "excess": "Too sure by",
            "excess_low": "from",
            "excess_high": "to",
            "brier_reliability": "Reliability",
            "brier_resolution": "Resolution",
            "brier_uncertainty": "Uncertainty",
        },
    )


def change_tables(found: list[Calibrated], on: str) -> list[Table]:
    """Give the table of what scaling changes; none where nothing was scaled."""
    rows = [
        {
            "backbone": own.name,
            **{
                f"{score}{end}": value
                for score, change in own.changes.items()
                for end, value in zip(("", "_low", "_high"), change, strict=True)
            },
            "log_loss_is": verdict(own.changes["log_loss"], own.n_groups, own.beyond_chance(len(found))),
            "before": sureness(own, len(found)),
        }
        for own in found
        if own.changes
    ]
    if not rows:
        return []
    titles = {
        "backbone": "Backbone",
        "log_loss": "Log loss changes by",
        "log_loss_low": "from",
        "log_loss_high": "to",
        "log_loss_is": "Log loss is",
        "brier": "Brier score changes by",
        "brier_low": "from",
        "brier_high": "to",
        "before": "Before, the model was",
    }
    caption = (
        f"What scaling changes ({on}); less is better, with 95 % intervals by groups. What it comes to is said of all "
        "backbones together, and where few mistakes by chance would give as much, it cannot be told."
    )
    return [Table("calibration_change", caption, pd.DataFrame(rows), titles)]


def scaling_tables(found: list[Calibrated], classes: tuple[str, ...]) -> list[Table]:
    """Give the range of the scalings and, for the files, those of all folds; no table where nothing was scaled."""
    frame = pd.DataFrame([row for own in found for row in _by_class(own, classes)])
    if not len(frame):
        return []
    rows = [
        {
            "backbone": own.name,
            "n_validation": min(own.n_validation.values()),
            "temperature": mean_temperature(own.scalings),
            **frame.loc[frame["backbone"] == own.name, "temperature"].agg(lowest="min", highest="max").to_dict(),
        }
        for own in found
        if own.scalings
    ]
    titles = {
        "backbone": "Backbone",
        "n_validation": "Validation images a fold, at least",
        "temperature": "Temperature (geometric mean)",
        "lowest": "lowest",
        "highest": "highest",
    }
    caption = (
        "How probabilities were scaled, fitted on each fold run's validation images, which also told when to stop "
        "training: a temperature above 1 says that the model was too sure of itself."
    )
    shown = dict.fromkeys(("temperature", "lowest", "highest"), "{:.2f}".format)
    return [
        Table("scalings", caption, pd.DataFrame(rows), titles, shown),
        Table("temperatures", "The scaling of each fold, and of each class where they differ.", frame, {}),
    ]


def _by_class(own: Calibrated, classes: tuple[str, ...]) -> Iterator[dict[str, object]]:
    for fold, scaling in sorted(own.scalings.items()):
        used = list(zip(classes, scaling.temperatures, scaling.biases, strict=True))
        # The lowest grade, which every image reaches, has a scaling without effect.
        used = used[1:] if scaling.kind == "ordinal" else used
        if len({one[1:] for one in used}) == 1:
            used = [("all", *used[0][1:])]
        for name, temperature, bias in used:
            shared = {"backbone": own.name, "fold": fold, "n_validation": own.n_validation[fold]}
            yield {**shared, "class": name, "temperature": temperature, "bias": bias}


def bins_table(found: list[Calibrated], on: str) -> Table:
    """Give the bins of the reliability diagrams; nothing of them is for pages."""
    parts = [
        reliability_table(state.forecasts).assign(backbone=own.name, probabilities=name)
        for own in found
        for name, state in states(own).items()
    ]
    frame = pd.concat(parts, ignore_index=True)
    first = ["backbone", "probabilities"]
    caption = f"The bins of the reliability diagrams ({on})."
    return Table("reliability_bins", caption, frame[[*first, *frame.columns.drop(first)]], {})
