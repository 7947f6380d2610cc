"""What an experiment's explanations come to in words: findings, doubts, and a row of figures a backbone and method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.comparison.looks.agreeing import BackboneAgreement
from tasks.comparison.looks.looking import Looks
from tasks.comparison.text import NOTHING, listing
from tasks.dataset.audit.findings import Finding, reported
from tasks.dataset.wording import percent
from tasks.explanation.controls import CONTROLS
from tasks.explanation.edge_looks import ADVICE, EdgeLook
from tasks.explanation.faithfulness import OVERALL
from tasks.explanation.intervals import Interval
from tasks.explanation.limits import COARSE, COARSE_ADVICE, UNKNOWN
from tasks.explanation.methods import get

UNTOLD = math.nan, math.nan, math.nan


@dataclass(frozen=True)
class LookRow:
    """A backbone's maps by one method, in figures that people read; a dash where there is none.

    Attributes
    ----------
    backbone, method
        Its registry name; the method's title.
    overall
        Insertion areas less deletion areas, with the interval.
    controls
        The same for each of `CONTROLS`.
    sanity, noise, shift, holdout, others
        Rank correlations with the maps of the randomised model, of noisy and of shifted pictures, of the other folds on
        holdout images, and of the other backbones.
    border, corner
        Mean shares of the heat.
    hit, inside
        With regions, the share of hits of the pointing game, and the shares of heat and of area that lie inside.
    verdict
        How far to believe the maps, in words.
    fails
        Why the method fails sanity checks by construction; else empty.
    doubted
        Whether the maps must not be believed as they are.
    n_measured
        On how many images they were measured.
    """

    backbone: str
    method: str
    overall: tuple[str, str]
    controls: tuple[str, ...]
    sanity: tuple[str, str]
    noise: tuple[str, str]
    shift: tuple[str, str]
    border: tuple[str, str]
    corner: str
    hit: str
    inside: tuple[str, str]
    holdout: tuple[str, str]
    others: tuple[str, str]
    verdict: str
    fails: str
    doubted: bool
    n_measured: int = 0


def look_rows(looks: Mapping[str, Looks], between: BackboneAgreement) -> list[LookRow]:
    """Give the report's rows, backbone by backbone in the order given."""
    return [_row(name, own, method, between) for name, own in looks.items() for method in own.methods]


def look_findings(looks: Mapping[str, Looks], off: Sequence[str] = ()) -> list[Finding]:
    """Give the findings of where backbones look: one a class and place, however many backbones it is, and coarse maps.

    Methods that fail sanity checks by construction are no witnesses.

    Parameters
    ----------
    looks : mapping of str to Looks
        By backbone.
    off : sequence of str
        Codes and families that are not reported.
    """
    by_place: dict[tuple[str, str], dict[str, dict[str, EdgeLook]]] = {}
    for backbone, own in looks.items():
        for method, found in own.found.items():
            for one in () if get(method).fails_sanity_checks else found:
                by_place.setdefault((one.label, one.place), {}).setdefault(backbone, {})[method] = one
    return list(reported([*map(_finding, by_place.values()), *_coarse(looks)], off))


def doubts(looks: Mapping[str, Looks]) -> list[str]:
    """Give what readers must be told of methods whose maps are not to be believed as they are; nothing without one."""
    by_title: dict[str, list[str]] = {}
    for backbone, own in looks.items():
        for method, verdict in own.verdicts.items():
            if verdict.doubted:
                by_title.setdefault(get(method).title, []).append(backbone)
    told = []
    if by_title:
        named = "; ".join(f"{title} of {listing(backbones)}" for title, backbones in by_title.items())
        told.append(
            f"Maps that did not pass a check: {named}. Rest nothing on these pictures alone; the table in the report "
            "says which check it was."
        )
    used = dict.fromkeys(method for own in looks.values() for method in own.methods)
    return told + [
        f"{get(method).title} fails sanity checks by construction: {why}."
        for method in used
        if (why := get(method).fails_sanity_checks)
    ]


def share_of_time(looks: Mapping[str, Looks], seconds: Mapping[str, float], bound: float | None = None) -> str:
    """Tell what share of the fold runs' time the measures took; empty where it is not known.

    Parameters
    ----------
    looks : mapping of str to Looks
        By backbone.
    seconds : mapping of str to float
        By backbone, seconds that its fold runs took together.
    bound : float or None
        The share of work that was allowed, `explanation.faithfulness_share`; None: any.
    """
    known = {name: own.seconds_share for name, own in looks.items() if own.seconds_share is not None}
    total = sum(seconds[name] for name in known)
    if not total:
        return ""
    share = sum(part * seconds[name] for name, part in known.items()) / total
    told = f"Measuring how far to believe the maps took {_percent(share)} of the fold runs' time"
    if bound is None or share <= bound:
        return f"{told}."
    return (
        f"{told}. It is more than the {_percent(bound)} of explanation.faithfulness_share because that bounds work, "
        "counted in passes through the network, not seconds, and because four images a fold are measured in any case."
    )


def _coarse(looks: Mapping[str, Looks]) -> list[Finding]:
    """Give the finding of maps that are too coarse, one for all backbones; nothing where none is."""
    by_size: dict[tuple[str, str], list[str]] = {}
    for backbone, own in looks.items():
        for method, limits in own.limits.items():
            if limits.coarse:
                by_size.setdefault((backbone, limits.size), []).append(get(method).title)
    if not by_size:
        return []
    told = "; ".join(f"{backbone} {size} places by {listing(by)}" for (backbone, size), by in by_size.items())
    return [Finding(COARSE, "warn", f"Maps are too coarse to show where a model looks: {told}.", COARSE_ADVICE)]


def _finding(by_backbone: Mapping[str, Mapping[str, EdgeLook]]) -> Finding:
    told: list[str] = []
    images: list[str] = []
    for backbone, by_method in by_backbone.items():
        method, most = max(by_method.items(), key=lambda item: item[1].share)
        where = f", most at the {most.corner} one" if most.corner else ""
        more = f" and {len(by_method) - 1} more" if len(by_method) > 1 else ""
        whose = f" of {backbone}" if len(by_backbone) > 1 else ""
        share = f"{_percent(most.share)} of the heat{whose} lies there{where}"
        told.append(f"{share}, {_percent(most.elsewhere)} in the other classes ({get(method).title}{more})")
        images += most.images
    names, place = list(by_backbone), {"border": "border", "corner": "corners"}[most.place]
    verb = "looks" if len(names) == 1 else "look"
    message = (
        f"{listing(names)} {verb} at the {place} of the images of {most.label}: {'; '.join(told)}. "
        f"It is {_percent(most.area)} of the area."
    )
    return Finding(most.code, "warn", message, ADVICE, tuple(dict.fromkeys(images)))


def _row(backbone: str, own: Looks, method: str, between: BackboneAgreement) -> LookRow:
    known, verdict, holdout = get(method), own.verdicts.get(method), own.holdout.get(method)

    def metric(name: str) -> float:
        return own.metrics.get(f"explain/{method}/{name}", math.nan)

    area = _percent(metric("area_inside"))
    border = Interval(metric("border"), metric("border_low"), metric("border_high"), 0)
    return LookRow(
        backbone=backbone,
        method=known.title,
        overall=_figure(None if verdict is None else verdict.overall),
        controls=tuple(_number(metric(f"{OVERALL}_{control}")) for control in CONTROLS),
        sanity=_figure(None if verdict is None else verdict.randomised),
        noise=_figure(None if verdict is None else verdict.noise),
        shift=_figure(None if verdict is None else verdict.shift),
        border=_figure(border, percent=True),
        corner=_percent(metric("corner")),
        hit=_percent(metric("hit")),
        inside=(_percent(metric("heat_inside")), "" if area == NOTHING else f"area {area}"),
        holdout=_figure(None if holdout is None else holdout.mean),
        others=_figure(between.of_each.get((backbone, method))),
        verdict=_sentence(_unmeasured(own, method) if verdict is None else verdict.finding),
        fails=known.fails_sanity_checks,
        doubted=bool(known.fails_sanity_checks) or (verdict is not None and verdict.doubted),
        n_measured=0 if verdict is None else verdict.n_images,
    )


def _unmeasured(own: Looks, method: str) -> str:
    return " ".join(["not measured.", *own.limits.get(method, UNKNOWN).told(method, doubted=False)])


def _figure(interval: Interval | None, *, percent: bool = False) -> tuple[str, str]:
    """Give a mean and its interval as people read them."""
    written = _percent if percent else _number
    mean, low, high = UNTOLD if interval is None else (interval.mean, interval.low, interval.high)
    return written(mean), "" if np.isnan(low) else f"{written(low)} to {written(high)}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _number(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:z.2f}"


def _percent(share: float) -> str:
    return NOTHING if math.isnan(share) else percent(share)
