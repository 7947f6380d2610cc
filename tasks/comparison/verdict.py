"""What the comparison says in words, and no more than that."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.comparison.ranking import rank
from tasks.comparison.summary import Summary
from tasks.comparison.text import count, interval, listing, metric_title, number


def verdict(
    summaries: Mapping[str, Mapping[str, Summary]], metric: str, *, higher_is_better: bool, n_repeats: int = 1
) -> list[str]:
    """Say in plain sentences which backbone has the best mean of `metric`, and how far that can be trusted.

    Parameters
    ----------
    summaries
        By backbone and metric.
    metric
        What the backbones are ranked by.
    higher_is_better
        Whether a larger value of `metric` is a better one.
    n_repeats
        How often the images were cut into folds.
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
    next_best = order[1]
    sentences = [
        f"{best} has the {kind} mean {title}: {_figures(own[best])}.",
        f"Next is {next_best} with {_figures(own[next_best])}.",
        *_difference(own, order, n_repeats),
    ]
    if _folds(own[best]) != _folds(own[next_best]):
        sentences.append("The two stand on different folds, so their means do not compare like with like.")
    return sentences


def _figures(summary: Summary) -> str:
    over = count(summary.n_defined, "fold")
    if summary.ci_low is None:
        return f"{number(summary.mean)} on {over}, which gives no interval"
    return f"{number(summary.mean)} over {over}, 95\u00a0% interval {interval(summary)}"


def _difference(own: Mapping[str, Summary], order: list[str], n_repeats: int) -> list[str]:
    best, others = own[order[0]], order[1:]
    unclear = [name for name in others if _unclear(best, own[name])]
    if order[1] not in unclear:
        first = "The intervals of the two do not overlap."
        if best.std == 0 or own[order[1]].std == 0:
            return [first, "But one of them has the same value on every fold, so its interval shows no uncertainty."]
        these = "these images and this one set of folds" if n_repeats == 1 else "these images"
        return [first, f"This holds for {these}; new images can tell otherwise."]
    if best.ci_low is None or own[order[1]].ci_low is None:
        return ["Without two intervals the difference is not established."]
    sentences = ["Their intervals overlap: the difference is not established."]
    if rest := [name for name in unclear if name != order[1] and own[name].ci_low is not None]:
        sentences.append(f"The same holds for {listing(rest)}.")
    return sentences


def _unclear(one: Summary, other: Summary) -> bool:
    if one.ci_low is None or one.ci_high is None or other.ci_low is None or other.ci_high is None:
        return True
    return one.ci_low <= other.ci_high and other.ci_low <= one.ci_high


def _folds(summary: Summary) -> list[bool]:
    return [value is not None for value in summary.folds]
