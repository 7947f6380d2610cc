"""The parts of a comparison, in the order in which they are told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from tasks.comparison.calibration.section import calibration_section
from tasks.comparison.classes_section import classes_section
from tasks.comparison.cost.section import cost_section
from tasks.comparison.curves.section import curves_section
from tasks.comparison.decisions.section import decisions_section
from tasks.comparison.ensembling.section import ensembles_section
from tasks.comparison.errors.section import errors_section
from tasks.comparison.errors.suspects_section import suspect_labels_section
from tasks.comparison.evidence import Evidence
from tasks.comparison.section import Section
from tasks.comparison.standings.section import statistics_section
from tasks.comparison.subgroups.section import subgroups_section

_log = logging.getLogger(__name__)

Maker = Callable[[Evidence], Section | None]

MAKERS: tuple[Maker, ...] = (
    statistics_section,
    classes_section,
    curves_section,
    calibration_section,
    decisions_section,
    ensembles_section,
    errors_section,
    suspect_labels_section,
    subgroups_section,
    cost_section,
)
"""Each gives its part, or None where there is nothing to tell."""


def sections_of(evidence: Evidence, makers: Sequence[Maker] = MAKERS) -> list[Section]:
    """Give all parts of a comparison, with one thread of linear algebra: several would only wait for each other.

    A part that fails is one sentence that says so: hours of training are not to end without the others.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return [made for maker in makers if (made := _made(maker, evidence)) is not None]


def _made(maker: Maker, evidence: Evidence) -> Section | None:
    try:
        return maker(evidence)
    except Exception as fault:
        key = maker.__name__.removesuffix("_section")
        _log.exception("The part %s of the comparison could not be told.", key)
        said = (str(fault).strip().splitlines() or [""])[0].rstrip(".")
        sentence = f"This part could not be told, through a fault: {type(fault).__name__}{f': {said}' if said else ''}."
        return Section(key, key.replace("_", " ").capitalize(), (sentence,))
