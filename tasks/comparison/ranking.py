"""The order of the backbones, and the table that compares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.comparison.summary import Summary

if TYPE_CHECKING:
    import pandas as pd

FIGURES = ("mean", "std", "ci_low", "ci_high")
"""The figures of a summary that the table has a column for, in order."""


def rank(summaries: Mapping[str, Mapping[str, Summary]], metric: str, *, higher_is_better: bool) -> list[str]:
    """Order the backbones from the best mean of `metric` to the worst; equals by name, those without a value last."""

    def place(backbone: str) -> tuple[bool, float, str]:
        mean = mean_of(summaries[backbone], metric)
        if mean is None:
            return True, 0.0, backbone
        return False, -mean if higher_is_better else mean, backbone

    return sorted(summaries, key=place)


def comparison_table(
    summaries: Mapping[str, Mapping[str, Summary]],
    metric: str,
    *,
    higher_is_better: bool,
    folds_completed: Mapping[str, int],
    seconds: Mapping[str, float | None],
) -> pd.DataFrame:
    """One row a backbone, best first.

    Parameters
    ----------
    summaries
        By backbone and metric. Metrics of a single class (those with a `/` in their name) get no column.
    metric
        What the backbones are ranked by; its columns come first.
    higher_is_better
        Whether a larger value of `metric` is a better one.
    folds_completed
        By backbone, the number of fold runs that are done.
    seconds
        By backbone, the seconds that its fold runs took together; None where nothing is known.

    Returns
    -------
    DataFrame
        `backbone`, `rank` (from 1; missing where the backbone has no value), `<metric>_mean`, `_std`, `_ci_low`,
        `_ci_high` a metric, `folds_completed`, `seconds`. What is undefined is missing (NaN).
    """
    import pandas as pd

    metrics = list(dict.fromkeys([metric, *(name for own in summaries.values() for name in own if "/" not in name)]))
    rows: list[dict[str, Any]] = []
    for place, backbone in enumerate(rank(summaries, metric, higher_is_better=higher_is_better), start=1):
        own = summaries[backbone]
        row: dict[str, Any] = {"backbone": backbone}
        row["rank"] = place if mean_of(own, metric) is not None else None
        for name in metrics:
            summary = own.get(name)
            row |= {f"{name}_{figure}": None if summary is None else getattr(summary, figure) for figure in FIGURES}
        row["folds_completed"] = folds_completed.get(backbone, 0)
        row["seconds"] = seconds.get(backbone)
        rows.append(row)
    figures = [f"{name}_{figure}" for name in metrics for figure in FIGURES]
    columns = ["backbone", "rank", *figures, "folds_completed", "seconds"]
    types = {"backbone": "str", "rank": "Int64", "folds_completed": "int64"}
    types |= dict.fromkeys([*figures, "seconds"], "float64")
    return pd.DataFrame(rows, columns=columns).astype(types)


def mean_of(own: Mapping[str, Summary], metric: str) -> float | None:
    """Give the mean of `metric` among one backbone's summaries, None where there is none."""
    summary = own.get(metric)
    return None if summary is None else summary.mean
