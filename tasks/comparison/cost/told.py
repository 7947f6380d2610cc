"""What the costs come to, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tasks.comparison.cost.table import SPEED, WORK, front_of
from tasks.comparison.costs import Cost
from tasks.comparison.evidence import Evidence
from tasks.comparison.text import count, listing, metric_title
from tasks.dataset.wording import percent

_AS = {SPEED: ("time", "fast", "faster"), WORK: ("work", "light", "lighter")}


def cost_told(evidence: Evidence, costs: Mapping[str, Cost], frame: pd.DataFrame) -> list[str]:
    """Say which backbones are worth their cost, and how that was measured.

    Parameters
    ----------
    evidence : Evidence
        What was compared.
    costs : mapping of str to Cost
        By backbone.
    frame : DataFrame
        As `cost_frame` gives it.
    """
    unknown = [name for name, own in costs.items() if own.milliseconds is None]
    threads = evidence.plan.experiment.runner.threads_per_worker
    said = [*_worth(evidence, frame), *_machine(costs, threads), *_training(frame)]
    if unknown:
        said.append(f"Speed and size of {listing(unknown)} could not be measured; the log of the run says why.")
    return said


def _worth(evidence: Evidence, frame: pd.DataFrame) -> list[str]:
    """Name the backbones on the front, and what the test says of the cheaper ones."""
    metric = evidence.metrics[0]
    by = SPEED if front_of(frame, metric, SPEED) else WORK
    front = front_of(frame, metric, by)
    what, cheap, cheaper = _AS[by]
    if not front:
        return ["No backbone has both a score and a measured cost, so nothing is said of which one is worth it."]
    if len(frame) == 1:
        return [f"There is one backbone alone, {front[0]}; the table tells what it costs."]
    held = f"In {metric_title(metric)}, as it was measured, against {what} an image"
    if len(front) == 1:
        return [f"{held}, {front[0]} stands alone on the front: no other backbone is better, and none is {cheaper}."]
    rest = f"no other backbone is at least as good and as {cheap}"
    first = f"{held}, {listing(front)} are on the front, the {cheap}est first: for each of them, {rest}."
    return [first, *_shown_worse(evidence, front, cheap), *_not_shown_better(evidence, frame, front, by)]


def _shown_worse(evidence: Evidence, front: list[str], cheap: str) -> list[str]:
    """Name those of the front that the test shows to be worse than its best."""
    if evidence.compared is None:
        return []
    best, apart = front[-1], evidence.compared.told_apart(evidence.metrics[0])
    worse = [name for name in front[:-1] if frozenset((name, best)) in apart]
    if not worse:
        return []
    are, it_is = ("is", "it is") if len(worse) == 1 else ("are", "they are")
    return [f"Of these, {listing(worse)} {are} shown to be worse than {best}: {it_is} there for being {cheap} alone."]


def _not_shown_better(evidence: Evidence, frame: pd.DataFrame, front: list[str], by: str) -> list[str]:
    """Name the cheapest one of the front that the test cannot tell from its best; nothing where there was no test."""
    compared, metric, best = evidence.compared, evidence.metrics[0], front[-1]
    if compared is None:
        return []
    own = [found for found in compared.differences if found.metric == metric and found.p_holm is not None]
    alike = {frozenset((found.first, found.second)) for found in own} - compared.told_apart(metric)
    cost = frame.set_index("backbone")[by]
    name = next((name for name in front[:-1] if frozenset((name, best)) in alike), None)
    if name is None:
        return []
    return [
        f"An image takes {name} {percent(cost[name] / cost[best])} of the {_AS[by][0]} that it takes {best}, and these "
        f"images do not show that {best} is better in {metric_title(metric)}; nor do they show that the two are equal."
    ]


def _machine(costs: Mapping[str, Cost], threads: int) -> list[str]:
    places = dict.fromkeys((own.machine, own.device) for own in costs.values() if own.device)
    if not places:
        return []
    used = count(threads, "thread")
    told = listing(
        [f"{machine} with {used}" if device == "CPU" else f"{device} beside {machine}" for machine, device in places]
    )
    return [
        f"Speeds were measured on {told}, one backbone at a time, from pixels to probabilities, the fastest of several "
        "calls. On a shared machine times vary from one day to the next; GFLOPs (a multiplication and an addition "
        "count as two), parameters and file sizes do not."
    ]


def _training(frame: pd.DataFrame) -> list[str]:
    said = []
    if "train_seconds" in frame:
        said.append(
            "Training seconds are those of the fold runs as they were done, beside others; features below a frozen "
            "boundary are computed once for all folds and are not in them."
        )
    if "peak_memory_mb" in frame:
        said.append(
            "Peak memory is the most that a worker process held during a fold run, with its libraries and with what it "
            "kept of other backbones."
        )
    return said
