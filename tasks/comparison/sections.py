"""The parts of a comparison, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable

from tasks.comparison.evidence import Evidence
from tasks.comparison.section import Section

MAKERS: tuple[Callable[[Evidence], Section | None], ...] = ()
"""Each gives its part, or None where there is nothing to tell."""


def sections_of(evidence: Evidence) -> list[Section]:
    """Give all parts of a comparison, with one thread of linear algebra: several would only wait for each other."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return [made for maker in MAKERS if (made := maker(evidence)) is not None]
