"""The audit's checks of single pictures: even, dark, bright and blurred ones, and colour beside greys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.dataset.audit.findings import Finding, Severity, Subject
from tasks.dataset.wording import counted, listed

DARK = 0.05
"""A picture with a mean grey level below this is called dark."""
BRIGHT = 0.95
"""A picture with a mean grey level above this is called bright."""
EVEN_CONTRAST = 0.01
"""A picture whose grey levels have a standard deviation below this is called even."""
ONE_COLOUR = 0.95
"""A picture of which this share has one colour is called even too."""
BLUR_SCORE = 3.5
"""A picture is called blurred if its sharpness, as a logarithm, lies so many robust deviations below the median
(modified z-score; Iglewicz and Hoaglin, How to detect and handle outliers, 1993) ..."""
BLUR_RATIO = 4.0
"""... and is at least so many times less than the median, however alike the others are."""
USUAL = 0.2
"""What a larger share of the images shows is the nature of the data and no fault of single pictures."""

_LEAST_SHARPNESS = 1e-3


def quality_findings(subject: Subject) -> Iterator[Finding]:
    """Yield `images.even`, `.dark`, `.bright`, `.blurred`, `.colour_mixture` and `.modes`."""
    facts = subject.facts
    if facts is None:
        return
    brightness = facts["brightness"].to_numpy()
    even = ((facts["contrast"] < EVEN_CONTRAST) | (facts["commonest"] >= ONE_COLOUR)).to_numpy()
    dark, bright = ~even & (brightness < DARK), ~even & (brightness > BRIGHT)
    blurred = _blurred(facts, even) & ~(even | dark | bright)
    kinds: tuple[tuple[str, Severity, str, NDArray[np.bool_]], ...] = (
        ("images.even", "warn", "One colour nearly all over", even),
        ("images.dark", "note", f"Nearly black, the mean below {DARK:.0%} of white", dark),
        ("images.bright", "note", f"Nearly white, the mean above {BRIGHT:.0%}", bright),
        ("images.blurred", "note", "Far less sharp than most", blurred),
    )
    for code, severity, what, shown in kinds:
        if 0 < shown.sum() <= max(USUAL * len(facts), 1):
            yield _finding(code, severity, what, "Look at them, and remove those that show nothing.", subject, shown)
    yield from _colour_mixture(subject, facts, even)
    yield from _modes(subject, facts)


def _blurred(facts: pd.DataFrame, even: NDArray[np.bool_]) -> NDArray[np.bool_]:
    sharpness = np.log(np.maximum(facts["sharpness"].to_numpy(dtype=np.float64), _LEAST_SHARPNESS))
    if even.all():
        return np.zeros(len(even), dtype=bool)
    below = np.median(sharpness[~even]) - sharpness
    deviation = np.median(np.abs(below[~even]))
    blurred: NDArray[np.bool_] = (0.6745 * below > BLUR_SCORE * deviation) & (below >= np.log(BLUR_RATIO))
    return blurred


def _colour_mixture(subject: Subject, facts: pd.DataFrame, even: NDArray[np.bool_]) -> Iterator[Finding]:
    colour = facts["colour"].to_numpy(dtype=bool) & ~even
    grey = ~colour & ~even
    if not colour.any() or not grey.any():
        return
    in_colour = colour.sum() <= grey.sum()
    yield _finding(
        "images.colour_mixture",
        "note",
        f"{'In colour, the others in greys' if in_colour else 'In greys, the others in colour'}",
        "See that colour does not follow the class: a model can learn that.",
        subject,
        colour if in_colour else grey,
    )


def _modes(subject: Subject, facts: pd.DataFrame) -> Iterator[Finding]:
    counts = facts["mode"].value_counts()
    if len(counts) > 1:
        yield Finding(
            "images.modes",
            "note",
            f"Stored in several colour modes: {listed(f'{mode} ({count:,})' for mode, count in counts.items())}.",
            "All become 8-bit RGB by fixed rules. See that the mode does not follow the class, and that 16-bit "
            "images show enough in their upper 8 bits.",
            tuple(subject.table["path"].to_numpy(dtype=object)[(facts["mode"] != counts.index[0]).to_numpy()]),
        )


def _finding(code: str, severity: Severity, what: str, advice: str, subject: Subject, shown: Any) -> Finding:
    paths = tuple(subject.table["path"].to_numpy(dtype=object)[shown])
    return Finding(code, severity, f"{what}: {counted(len(paths), 'image')}: {listed(paths, 3)}.", advice, paths)
