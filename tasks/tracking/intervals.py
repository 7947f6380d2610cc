"""Metrics that stand beside the ends of their intervals, as runs hold them: told apart by their names."""

from __future__ import annotations

from collections.abc import Mapping

ENDS = ("ci_low", "ci_high")
"""What the ends of a metric's interval are called: `<metric>_ci_low` and `<metric>_ci_high`."""


def values_alone(metrics: Mapping[str, float]) -> dict[str, float]:
    """Give the metrics without the ends of their intervals."""
    return {name: value for name, value in metrics.items() if _whose(name, metrics) is None}


def intervals_alone(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Give the ends of the intervals by metric, `ci_low` and `ci_high`; metrics without an interval are left out."""
    found: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        metric = _whose(name, metrics)
        if metric is not None:
            found.setdefault(metric, {})[name.removeprefix(f"{metric}_")] = value
    return found


def _whose(name: str, metrics: Mapping[str, float]) -> str | None:
    """Give the metric whose interval's end this is; None where it is a metric of its own."""
    metric = next((name.removesuffix(f"_{end}") for end in ENDS if name.endswith(f"_{end}")), None)
    return metric if metric in metrics else None
