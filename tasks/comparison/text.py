"""Figures as people read them."""

from __future__ import annotations

import math

from tasks.comparison.summary import Summary

NOTHING = "–"
"""What stands where there is no figure."""

_TITLES = {
    "roc_auc": "ROC AUC",
    "f1_macro": "F1 (macro)",
    "precision_macro": "precision (macro)",
    "recall_macro": "recall (macro)",
    "cohen_kappa": "Cohen's kappa",
    "matthews_corrcoef": "Matthews correlation",
    "quadratic_kappa": "kappa (quadratic weights)",
    "mean_absolute_error": "absolute error (in grades)",
    "subset_accuracy": "accuracy (all labels right)",
    "hamming_loss": "Hamming loss",
    "brier": "Brier score",
    "ece": "calibration error",
}


def metric_title(metric: str) -> str:
    """Name a metric as in a heading: `roc_auc` is ROC AUC, `balanced_accuracy` balanced accuracy."""
    return _TITLES.get(metric, metric.replace("_", " "))


def number(value: float | None) -> str:
    """Write a value with three decimals; a dash for None."""
    return NOTHING if value is None else f"{value:z.3f}"


def mean_and_spread(summary: Summary | None) -> str:
    """Write a mean with its standard deviation, `0.912 ± 0.031`; the mean alone with one fold."""
    if summary is None or summary.mean is None:
        return NOTHING
    return number(summary.mean) if summary.std is None else f"{number(summary.mean)} ± {number(summary.std)}"


def interval(summary: Summary | None) -> str:
    """Write a 95 % interval, `0.880 to 0.944`; a dash where there is none."""
    return NOTHING if summary is None else between(summary.ci_low, summary.ci_high)


def between(low: float | None, high: float | None) -> str:
    """Write the ends of an interval, `0.880 to 0.944`; a dash where there is none."""
    return NOTHING if low is None or high is None else f"{number(low)} to {number(high)}"


def p_value(p: float | None) -> str:
    """Write a p-value with three decimals, `below 0.001` where it is smaller; a dash for None."""
    return "below 0.001" if p is not None and p < 0.001 else number(p)


def told_interval(low: float | None, high: float | None) -> str:
    """Tell an interval in a sentence: `95 % interval 0.880 to 0.944`, or `no interval` where there is none."""
    return "no interval" if low is None or high is None else f"95 % interval {between(low, high)}"


def tested(p: float) -> str:
    """Write a p-value in a sentence: `p = 0.012`, or `p below 0.001`."""
    return f"p = {p:.3f}" if p >= 0.001 else "p below 0.001"


def known(value: float) -> float | None:
    """Give a value of a table, None for NaN."""
    return None if math.isnan(value) else float(value)


def duration(seconds: float | None) -> str:
    """Write a time span in its two largest units: `42 s`, `3 min 20 s`, `2 h 5 min`; a dash for None."""
    if seconds is None:
        return NOTHING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(n: int, noun: str) -> str:
    """Write a number with its noun: `1 fold`, `5 folds`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listing(names: list[str]) -> str:
    """Write names as in a sentence: `a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
