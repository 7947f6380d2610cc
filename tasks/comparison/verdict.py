"""What the means over the folds come to in words, where no statistics on the same images are there to say more."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.comparison.ranking import rank
from tasks.comparison.summary import Summary
from tasks.comparison.text import count, interval, listing, metric_title, number


def verdict(summaries: Mapping[str, Mapping[str, Summary]], metric: str, *, higher_is_better: bool) -> list[str]:
    """Say which backbone has the best mean of `metric`, and that this alone sets no two of them apart.

    Intervals that do not overlap would be no test either: the backbones share images and folds.

    Parameters
    ----------
    summaries
        By backbone and metric.
    metric
        What the backbones are ranked by.
    higher_is_better
        Whether a larger value of `metric` is a better one.
    """
    own = {name: by_metric[metric] for name, by_metric in summaries.items() if metric in by_metric}
    order = [name for name in rank(summaries, metric, higher_is_better=higher_is_better) if name in own]
    order = [name for name in order if own[name].mean is not None]
    title = metric_title(metric)
    if not order:
        return [f"No backbone has a {title} yet, so there is nothing to compare."]
    best = order[0]
    if len(order) == 1:
        return [
            f"{best} has a mean {title} of {_figures(own[best])}.",
            "There is no other backbone to compare it with.",
        ]
    ties = [name for name in order if own[name].mean == own[best].mean]
    kind = "highest" if higher_is_better else "lowest"
    if len(ties) > 1:
        return [f"{listing(ties)} share the {kind} mean {title}: {_figures(own[best])}.", "None of them is ahead."]
    return [
        f"{best} has the {kind} mean {title}: {_figures(own[best])}.",
        f"Next is {order[1]} with {_figures(own[order[1]])}.",
        "They were not compared image by image, so the difference is not established.",
    ]


def _figures(summary: Summary) -> str:
    over = count(summary.n_defined, "fold")
    if summary.ci_low is None:
        return f"{number(summary.mean)} on {over}, which gives no interval"
    return f"{number(summary.mean)} over {over}, 95\u00a0% interval {interval(summary)}"
