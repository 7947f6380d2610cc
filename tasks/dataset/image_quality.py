"""The audit's checks of single pictures: even, dark, bright and blurred ones, and colour beside greys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.dataset.audit_checks import Finding, Severity, Subject
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


def quality_findings(subject: Subject, facts: pd.DataFrame) -> Iterator[Finding]:
    """Yield `images.even`, `images.dark`, `images.bright`, `images.blurred` and `images.colour_mixture`.

    Parameters
    ----------
    subject
        The manifest and its folds.
    facts
        One row an image of the manifest, with the columns of `PictureFacts`.
    """
    brightness = facts["brightness"].to_numpy()
    even = ((facts["contrast"] < EVEN_CONTRAST) | (facts["commonest"] >= ONE_COLOUR)).to_numpy()
    kinds: tuple[tuple[str, Severity, str, NDArray[np.bool_]], ...] = (
        ("images.even", "warn", "One colour nearly all over", even),
        ("images.dark", "note", f"Nearly black, the mean below {DARK:.0%} of white", ~even & (brightness < DARK)),
        ("images.bright", "note", f"Nearly white, the mean above {BRIGHT:.0%}", ~even & (brightness > BRIGHT)),
        ("images.blurred", "note", "Far less sharp than most", ~even & _blurred(facts, even)),
    )
    for code, severity, what, shown in kinds:
        if 0 < shown.sum() <= max(USUAL * len(facts), 1):
            yield _finding(code, severity, what, "Look at them, and remove those that show nothing.", subject, shown)
    yield from _colour_mixture(subject, facts)


def _blurred(facts: pd.DataFrame, even: NDArray[np.bool_]) -> NDArray[np.bool_]:
    sharpness = np.log(np.maximum(facts["sharpness"].to_numpy(dtype=np.float64), _LEAST_SHARPNESS))
    if even.all():
        return np.zeros(len(even), dtype=bool)
    below = np.median(sharpness[~even]) - sharpness
    deviation = np.median(np.abs(below[~even]))
    blurred: NDArray[np.bool_] = (0.6745 * below > BLUR_SCORE * deviation) & (below >= np.log(BLUR_RATIO))
    return blurred


def _colour_mixture(subject: Subject, facts: pd.DataFrame) -> Iterator[Finding]:
    colour = facts["colour"].to_numpy(dtype=bool)
    if colour.all() or not colour.any():
        return
    in_colour = colour.mean() <= 0.5
    yield _finding(
        "images.colour_mixture",
        "note",
        f"{'In colour, the others in greys' if in_colour else 'In greys, the others in colour'}",
        "See that colour does not follow the class: a model can learn that.",
        subject,
        colour if in_colour else ~colour,
    )


def _finding(code: str, severity: Severity, what: str, advice: str, subject: Subject, shown: Any) -> Finding:
    paths = tuple(subject.table["path"].to_numpy(dtype=object)[shown])
    return Finding(code, severity, f"{what}: {counted(len(paths), 'image')}: {listed(paths, 3)}.", advice, paths)
