"""How backbones stand to each other as tables."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd

from tasks.comparison.section import Table
from tasks.comparison.standings.standing import Standings
from tasks.comparison.text import NOTHING, between, metric_title, number, p_value
from tasks.evaluation.names import higher_is_better

_INTERVAL = "95 % interval"


def ranking_of(own: Standings) -> Table:
    """Give a row a backbone, best first, with its figures on pooled out-of-fold predictions."""
    rows: list[dict[str, Any]] = []
    titles = {"backbone": "backbone"}
    for name in own.order:
        row: dict[str, Any] = {"backbone": name}
        for metric in own.metrics:
            found = own.score(name, metric)
            row |= {metric: found.value, f"{metric}_low": found.low, f"{metric}_high": found.high}
            row[f"{metric}_interval"] = between(found.low, found.high)
        if own.letters:
            row["letters"] = own.letters.get(name, NOTHING)
        rows.append(row)
    for place, metric in enumerate(own.metrics):
        titles |= {metric: metric_title(metric), f"{metric}_interval": _INTERVAL}
        if place == 0 and own.letters:
            titles["letters"] = "letters"
    shared = (
        f" Backbones that share a letter cannot be told apart in {metric_title(own.metric)}." if own.letters else ""
    )
    return Table(
        "ranking",
        f"The backbones by {metric_title(own.metric)} on pooled out-of-fold predictions, best first.{shared}",
        _frame(rows),
        titles,
        dict.fromkeys(own.metrics, _figure),
    )


def pairwise(own: Standings, metric: str) -> Table:
    """Give a row a pair of backbones: how far they differ in a metric, and whether that is more than chance."""
    rows = []
    for first, second in own.pairs:
        found = own.difference(first, second, metric)
        row = {name: getattr(found, name) for name in ("first", "second", "difference", "low", "high")}
        row |= {"interval": between(found.low, found.high), "standard_error": found.standard_error}
        rows.append(row | {"p": found.p, "p_holm": found.p_holm, "better": found.better() or NOTHING})
    titles = {"first": "backbone", "second": "against", "difference": "difference", "interval": _INTERVAL}
    if own.tested:
        titles |= {"p": "p", "p_holm": "p (Holm)", "better": "better beyond chance"}
    sense = "higher is better" if higher_is_better(metric) else "lower is better"
    return Table(
        f"pairwise_{_slug(metric)}",
        f"Differences in {metric_title(metric)} ({sense}), the first backbone less the second, on the same out-of-fold "
        f"predictions{'' if own.tested else '; too few groups for a test'}.",
        _frame(rows),
        titles,
        {"difference": _figure, "p": _p, "p_holm": _p},
    )


def fold_by_fold(own: Standings) -> Table:
    """Give a row a metric and pair of backbones: how they differ over folds, and what can be believed of it."""
    rows = [
        {
            "metric": metric_title(found.metric),
            "first": found.first,
            "second": found.second,
            "n_folds": found.found.n_folds,
            "difference": found.found.mean,
            "low": found.found.low,
            "high": found.found.high,
            "interval": between(found.found.low, found.found.high),
            "p": found.found.p,
            **found.belief._asdict(),
        }
        for found in own.over_folds
    ]
    titles = {
        "metric": "metric",
        "first": "backbone",
        "second": "against",
        "n_folds": "folds",
        "difference": "mean difference",
        "interval": _INTERVAL,
        "p": "p",
        "better": "P(better)",
        "equivalent": "P(as good)",
        "worse": "P(worse)",
    }
    return Table(
        "fold_differences",
        "Means of the folds' differences, with the corrected resampled t-test (Nadeau and Bengio, 2003), not adjusted "
        "for the number of pairs, and the Bayesian correlated t-test (Benavoli et al., 2017): how likely the first is "
        f"better, as good or worse, where differences up to {own.rope:g} count as none.",
        _frame(rows),
        titles,
        {"n_folds": str, "difference": _figure, "p": _p, **dict.fromkeys(("better", "equivalent", "worse"), _share)},
    )


def image_by_image(own: Standings) -> Table:
    """Give a row a pair of backbones: McNemar's test of right and wrong decisions, images being independent."""
    rows = [{"first": first, "second": second, **found._asdict()} for (first, second), found in own.by_image.items()]
    titles = {
        "first": "backbone",
        "second": "against",
        "only_first": "right only by the first",
        "only_second": "right only by the second",
        "exact": "exact p",
        "mid": "mid-p",
    }
    return Table(
        "mcnemar",
        "McNemar's test of right and wrong decisions, each image being a group of its own; p-values are not adjusted.",
        _frame(rows),
        titles,
        {"only_first": str, "only_second": str, "exact": _p, "mid": _p},
    )


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Give rows as a table; what is None is missing."""
    return pd.DataFrame(rows).replace({None: math.nan}).infer_objects()


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _figure(value: float | None) -> str:
    return number(_known(value))


def _p(value: float | None) -> str:
    return p_value(_known(value))


def _share(value: float) -> str:
    """Write a probability with two decimals, without calling anything certain or impossible."""
    return "below 0.01" if value < 0.01 else "above 0.99" if value > 0.99 else f"{value:.2f}"


def _slug(metric: str) -> str:
    """Name a metric in small letters, digits and `_`."""
    return re.sub("[^a-z0-9]+", "_", metric.lower()).strip("_")
