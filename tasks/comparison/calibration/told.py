"""What the calibration of backbones comes to, in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasks.comparison.calibration.calibrated import Calibrated, mean_temperature
from tasks.comparison.statistics.paired import LEAST_GROUPS
from tasks.comparison.text import listing, number
from tasks.dataset.wording import counted
from tasks.evaluation.resampling import LEVEL, Estimate, share

FEW_IMAGES = 30
"""With fewer validation images a scaling is weak: it stays near no change, or follows single images."""

NO_MATTER = 0.001
"""Changes of a score below this matter to nobody, however certain they are."""

UNKNOWN = "cannot be told"


def calibration_sentences(found: Sequence[Calibrated], method: str, *, grouped: bool) -> tuple[str, ...]:
    """Tell whether probabilities can be believed and whether scaling helps, the best backbone first.

    Parameters
    ----------
    found : sequence of Calibrated
        By backbone, best first; one or more.
    method : str
        The setting `comparison.calibration`.
    grouped : bool
        Whether some group holds several images.
    """
    told = [
        _sureness(found[0], "group" if grouped else "image"),
        *_others_sureness(found[1:]),
        *_scaling(found, method),
        *_weak(found),
    ]
    if grouped:
        told.append(
            "The calibration errors' chance levels take images for independent; where images of one group are alike, "
            "chance alone does more."
        )
    return tuple(told)


def verdict(change: Estimate, n_groups: int, beyond_chance: bool = True) -> str:
    """Say what a change of a score that is to be low comes to, in one of `better`, `worse`, `the same` or unknown.

    Parameters
    ----------
    change : Estimate
        After less before.
    n_groups : int
        What its interval stands on.
    beyond_chance : bool
        Whether it is also more than probabilities that mean what they say would give (`Calibrated.beyond_chance`).
    """
    if max(abs(change.low), abs(change.high)) < NO_MATTER:
        return "the same"
    if n_groups < LEAST_GROUPS or math.isnan(change.low) or change.low <= 0 <= change.high or not beyond_chance:
        return UNKNOWN
    return "better" if change.high < 0 else "worse"


def sureness(own: Calibrated, of: int = 1) -> str:
    """Say how sure a backbone is of itself: `too sure`, `not sure enough` or unknown.

    Draws of images know little of mistakes that are rare, so that the share of right decisions has to have its mean
    probability outside its interval too (`resampling.share`).

    Parameters
    ----------
    own : Calibrated
        The backbone.
    of : int
        Of how many backbones that is said together.
    """
    state = own.before
    excess = state.excess
    right = share(state.forecasts.happened, state.forecasts.groups, 1 - (1 - LEVEL) / of)
    if own.n_groups < LEAST_GROUPS or math.isnan(excess.low):
        return UNKNOWN
    if excess.low > 0 and state.confidence > right.high:
        return "too sure"
    return "not sure enough" if excess.high < 0 and state.confidence < right.low else UNKNOWN


def _sureness(own: Calibrated, unit: str) -> str:
    state, name = own.before, own.name
    figures = (
        f"its decisions have a mean probability of {number(state.confidence)}, and {number(state.right)} of them are "
        f"right: a difference of {_with_interval(state.excess)}"
    )
    said = sureness(own)
    if said == "too sure":
        return f"{name} is too sure of itself: {figures}."
    if said == "not sure enough":
        return f"{name} is less sure of itself than it could be: {figures}."
    why = ""
    if own.n_groups < LEAST_GROUPS:
        why = f" ({counted(own.n_groups, unit)} cannot carry a claim)"
    elif _apart(state.excess):
        why = " (that many right decisions can be chance)"
    return f"That {name} is too sure of itself, or not sure enough, cannot be told{why}: {figures}."


def _others_sureness(others: Sequence[Calibrated]) -> list[str]:
    said = [
        f"{listing(names)} {'is' if len(names) == 1 else 'are'} {how}"
        for how in ("too sure", "not sure enough")
        if (names := [own.name for own in others if sureness(own, len(others)) == how])
    ]
    return [f"Of the others, {' and '.join(said)}."] if said else []


def _scaling(found: Sequence[Calibrated], method: str) -> list[str]:
    if method == "none":
        return ["Probabilities were left as they are, as comparison.calibration says."]
    told = [own for own in found if own.after is not None]
    left = [own.name for own in found if own.after is None]
    sentences = _helps(told, method) if told else []
    if left:
        sentences.append(
            f"The fold runs of {listing(left)} logged no predictions for their validation images, so that no scaling "
            "could be fitted; `foldcam run FILE --fresh` does them anew."
        )
    return sentences


def _helps(found: Sequence[Calibrated], method: str) -> list[str]:
    best, others = found[0], found[1:]
    change, said = best.changes["log_loss"], verdict(best.changes["log_loss"], best.n_groups, best.beyond_chance())
    lucky = (
        ", since few mistakes by chance would give as much"
        if said == UNKNOWN and best.n_groups >= LEAST_GROUPS and _apart(change)
        else ""
    )
    how = f"temperature {mean_temperature(best.scalings):.2f} in the mean of the folds"
    if method == "vector":
        how = f"a factor and an offset for each class; {how} and classes"
    told = [
        f"Scaling {best.name}'s probabilities as each fold run's validation images say ({how}) changes the log loss of "
        f"{number(best.before.scores['log_loss'])} by {_with_interval(change)}: {_ENDS[said]}{lucky}."
    ]
    by_verdict = {
        kind: [
            own.name
            for own in others
            if verdict(own.changes["log_loss"], own.n_groups, own.beyond_chance(len(others))) == kind
        ]
        for kind in _ENDS
    }
    parts = [f"{_WORDS[kind]} {listing(names)}" for kind, names in by_verdict.items() if names]
    return [*told, f"Of the others, {'; '.join(parts)}."] if parts else told


_ENDS = {
    "better": "it helps",
    "worse": "it does harm, and comparison.calibration: none would do better",
    "the same": "it makes no difference that matters",
    UNKNOWN: "whether it helps cannot be told",
}
_WORDS = {
    "better": "it helps",
    "worse": "it harms",
    "the same": "it makes no difference to",
    UNKNOWN: "whether it helps cannot be told for",
}


def _weak(found: Sequence[Calibrated]) -> list[str]:
    fewest = min((n for own in found for n in own.n_validation.values()), default=FEW_IMAGES)
    if fewest >= FEW_IMAGES:
        return []
    return [
        f"The scaling is weak: it was fitted on as few as {counted(fewest, 'validation image')} a fold, and below "
        f"{FEW_IMAGES} it follows single images or stays near no change."
    ]


def _apart(value: Estimate) -> bool:
    """Whether 0 lies outside the interval."""
    return value.low > 0 or value.high < 0


def _with_interval(value: Estimate) -> str:
    if math.isnan(value.low):
        return f"{value.value:+z.3f} (too few groups for an interval)"
    return f"{value.value:+z.3f} (95 % interval {value.low:+z.3f} to {value.high:+z.3f})"
