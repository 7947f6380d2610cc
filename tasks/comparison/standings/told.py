"""How backbones stand to each other in words, hedged as the figures demand."""

from __future__ import annotations

from tasks.comparison.standings.standing import Standings
from tasks.comparison.statistics.paired import PairedDifference
from tasks.comparison.statistics.power import POWER
from tasks.comparison.text import between, count, listing, metric_title, number, p_value
from tasks.evaluation.names import higher_is_better

_SURELY_MORE = 10_000

ONE_DATA_SET = (
    "No Friedman or Nemenyi test is done over the folds: these tests are for independent data sets, and the folds of "
    "one data set share their training images."
)
TRAINED_ONCE = (
    "The intervals and tests know which images happened to be there, but not the chance in training: with another seed "
    "the figures move too, and `folds.n_repeats` shows how far."
)


def answer(own: Standings) -> str:
    """Say which backbone is best and whether that is more than chance, in one sentence."""
    title = metric_title(own.metric)
    named = [name for name in own.order if own.score(name).value is not None]
    if not named:
        return f"No backbone has a value of {title} on these images, so none can be called best."
    best, others = named[0], named[1:]
    if not others:
        lone = "no other backbone has one" if len(own.order) > 1 else "there is no other backbone to compare it with"
        return f"{best} has this {title} on its pooled out-of-fold predictions: {_figure(own, best)}; {lone}."
    ties = [name for name in named if own.score(name).value == own.score(best).value]
    kind = "highest" if higher_is_better(own.metric) else "lowest"
    if len(ties) > 1:
        return f"{listing(ties)} share the {kind} {title} on pooled out-of-fold predictions, {_figure(own, best)}" + (
            _others_beaten(own, ties, others)
        )
    leads = f"{best} has the {kind} {title} on pooled out-of-fold predictions, {_figure(own, best)}"
    if not own.tested:
        few = count(own.compared.n_groups, own.unit)
        return f"{leads}, but {few} cannot tell whether its lead is more than chance."
    beaten = [name for name in others if own.lead(best, name).better() == best]
    unclear = [name for name in others if name not in beaten]
    if not beaten:
        whom = others[0] if len(others) == 1 else "any other backbone"
        return f"{leads}, but it cannot be told apart from {whom}: its lead may be chance."
    largest = max(p for name in beaten if (p := own.lead(best, name).p_holm) is not None)
    most = f"adjusted p {p_value(largest)}" if len(beaten) == 1 else f"largest adjusted p {p_value(largest)}"
    if unclear:
        return (
            f"{leads}, but it cannot be told apart from {listing(unclear)}; its lead over {listing(beaten)} is beyond "
            f"chance ({most})."
        )
    whom = others[0] if len(others) == 1 else f"each of the other {len(others)} backbones"
    return f"{leads}, and its lead over {whom} is beyond chance ({most})."


def _others_beaten(own: Standings, ties: list[str], others: list[str]) -> str:
    """End the sentence about several best ones: whom each of them is told apart from."""
    rest = [name for name in others if name not in ties]
    beaten = [name for name in rest if all(own.lead(tie, name).better() == tie for tie in ties)]
    return f"; the lead of each over {listing(beaten)} is beyond chance." if beaten else "."


def next_one(own: Standings) -> str | None:
    """Say how far the best backbone is ahead of the next one, with the interval; None where they are level."""
    if len(own.order) < 2:
        return None
    found = own.lead(*own.order[:2])
    if not found.difference:
        return None
    tested = "" if found.p is None else f", p {p_value(found.p)}"
    if found.p != found.p_holm:
        tested += f", adjusted for all pairs {p_value(found.p_holm)}"
    ahead = f"{found.first} is ahead of {found.second}, the next, by {number(found.difference)}"
    if found.low is None:
        return f"{ahead}, which has no interval."
    return f"{ahead} (95\u00a0% interval {between(found.low, found.high)}{tested})."


def verdict(own: Standings) -> list[str]:
    """Give the two sentences that stand under a ranking: the answer, and what it stands on."""
    second = own.compared.caution if len(own.order) > 1 and own.compared.caution else next_one(own)
    return [answer(own), *([second] if second else [])]


def basis(own: Standings, n_draws: int) -> str:
    """Say what figures, intervals and p-values stand on."""
    images, groups = count(own.compared.n_images, "image"), count(own.compared.n_groups, "group")
    each = f"{images}, each a group of its own" if own.unit == "image" else f"{images} in {groups}"
    drawn = f"The figures stand on {each}; intervals come from {n_draws:,} draws of whole groups (cluster bootstrap)"
    if not own.tested:
        return f"{drawn}."
    pairs = f", adjusted by Holm's procedure for the {len(own.pairs)} pairs of each metric" if own.pairs[1:] else ""
    return f"{drawn}, p-values from swapping the predictions for whole groups between two backbones{pairs}."


def letters(own: Standings) -> str | None:
    """Say what the letters of the ranking mean; None where it has none."""
    if not own.letters or len(own.order) < 3:
        return None
    return f"Backbones that share a letter cannot be told apart in {metric_title(own.metric)} at the 5\u00a0% level."


def others_than(own: Standings) -> list[str]:
    """Say in which of the other metrics another backbone comes first, or the lead is not beyond chance."""
    said = []
    for metric in own.metrics[1:]:
        leads = [own.lead(own.order[0], name, metric) for name in own.order[1:]]
        ahead = [found.second for found in leads if found.difference is not None and found.difference < 0]
        if ahead:
            beyond = [found.second for found in leads if found.better() == found.second]
            verb = "is" if len(ahead) == 1 else "are"
            surely = _surely(own, ahead, beyond)
            said.append(f"In {metric_title(metric)} {listing(ahead)} {verb} ahead of {own.order[0]}{surely}.")
    return said


def _surely(own: Standings, ahead: list[str], beyond: list[str]) -> str:
    if not own.tested:
        return ""
    if len(beyond) == len(ahead):
        return " beyond chance"
    return f" ({listing(beyond)} beyond chance)" if beyond else ", though not beyond chance"


def beliefs(own: Standings) -> str | None:
    """Say how likely the first backbone is better than the next, over folds; None where that is unknown."""
    found = next((f for f in own.over_folds if (f.metric, f.first, f.second) == (own.metric, *own.order[:2])), None)
    if found is None:
        return None
    if found.found.standard_error == 0:
        return (
            f"{found.first} differs from {found.second} by as much on each of {found.found.n_folds} folds, so that the "
            "folds cannot tell how sure that is."
        )
    better, equivalent, worse = map(_share, found.belief)
    return (
        f"Over {found.found.n_folds} folds, with differences up to {own.rope:g} taken for none, {found.first} is "
        f"better than {found.second} with a probability of {better}, as good with {equivalent} and worse with {worse} "
        "(Bayesian correlated t-test)."
    )


def by_image(own: Standings) -> str | None:
    """Say whether McNemar's test is given, and why not; None where nothing is tested."""
    if not own.tested:
        return None
    if own.by_image:
        return "As each image is a group of its own, McNemar's test of right and wrong decisions is given as well."
    return (
        "McNemar's test is not given: it takes every image for independent of the others, and several images of one "
        "group are not, so that it would find differences too often."
    )


def power(own: Standings) -> str | None:
    """Say how many groups more it would take to tell the first two apart; None where they are, or nothing is known."""
    if len(own.order) < 2:
        return None
    found, more = own.lead(*own.order[:2]), own.more_groups
    if more is None or found.better() is not None:
        return None
    return f"{_needed(own, found, more)} This is an estimate, and too low if the difference came out large by chance."


def _needed(own: Standings, found: PairedDifference, more: int) -> str:
    were = f"Were the difference of {number(found.difference)} between {found.first} and {found.second} the true one,"
    test = f"a single test at the 5\u00a0% level to find it in {100 * POWER:.0f}\u00a0% of all studies"
    if more == 0:
        return f"{were} there would be {own.unit}s enough for {test}; adjusting for all pairs asks for more."
    if more > _SURELY_MORE:
        return f"{were} it would take more than {_SURELY_MORE:,} more {own.unit}s for {test}."
    about = int(float(f"{more:.2g}"))
    return f"{were} it would take about {about:,} more {own.unit}{'' if about == 1 else 's'} for {test}."


def _share(value: float) -> str:
    """Write a probability in whole percents, without calling anything certain or impossible."""
    if 0.01 <= value <= 0.99:
        return f"{100 * value:.0f}\u00a0%"
    return "over 99\u00a0%" if value > 0.5 else "under 1\u00a0%"


def _why_none(own: Standings) -> str:
    """Say why a value has no interval; nothing where that is plain."""
    return "" if own.compared.n_groups < 2 else f" since no draw of these {own.unit}s changes it"


def _figure(own: Standings, name: str) -> str:
    found = own.score(name)
    if found.low is None:
        return f"{number(found.value)}, which has no interval{_why_none(own)}"
    return f"{number(found.value)} (95\u00a0% interval {between(found.low, found.high)})"
