"""Whether the data have the metrics that `comparison.metrics` names."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.config import InputError
from tasks.dataset.targets import Targets
from tasks.dataset.wording import nearest
from tasks.evaluation.names import higher_is_better, metric_key, metrics_of


def check_metrics(chosen: Sequence[str] | None, targets: Targets) -> None:
    """Refuse a metric that labels of this kind do not have, or that is of a class that there is not.

    Raises
    ------
    InputError
        With the nearest metric or class.
    """
    for metric in chosen or ():
        name, _, label = metric.partition("/")
        known = [metric_key(own) for own in targets.classes] if label else list(metrics_of(targets.kind))
        if label:
            try:
                higher_is_better(metric)
            except InputError as fault:
                raise InputError(f"comparison.metrics: {fault}") from None
        wanted = label or name
        if wanted not in known:
            near = nearest(wanted, known)
            hint = f" Did you mean {near}?" if near else ""
            there = f"{metric!r} is of no class" if label else f"{targets.kind} labels have no metric {metric!r}"
            of = "classes" if label else "metrics"
            raise InputError(f"comparison.metrics: {there}.{hint} The {of} are: {', '.join(known)}.")
