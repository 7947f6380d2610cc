"""Drift in words, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tasks.comparison.drift.distances import LEAST_IMAGES, LEVEL, Drift
from tasks.dataset.wording import counted


def _percent(share: float) -> str:
    return f"{100 * share:z.3g}\u00a0%"


def _pixels(number: float) -> str:
    return f"{number:,.0f} pixels"


_WORDS: dict[str, tuple[str, str, str, Callable[[float], str]]] = {
    "brightness": ("brighter", "darker", "brightness", _percent),
    "contrast": ("of more contrast", "of less contrast", "contrast", _percent),
    "sharpness": ("sharper", "more blurred", "sharpness", "{:,.0f}".format),
    "commonest": ("more even", "less even", "share of the commonest colour", _percent),
    "red": ("redder", "less red", "red less green", _percent),
    "blue": ("bluer", "less blue", "blue less green", _percent),
    "width": ("wider", "narrower", "width", _pixels),
    "height": ("taller", "lower", "height", _pixels),
}
"""Of each statistic: what images with more and with less of it are called, its name, and how a value is written."""

_TOLD_SHARE = 0.1


def drift_sentences(drift: Drift) -> list[str]:
    """Give what is to be said of drift: what differs, the farthest first; or that nothing does, or too little is there.

    A share of labels is told where it is a tenth or more from the training images', beyond chance.
    """
    if not drift.enough:
        return [
            f"{counted(drift.n_new, 'new image')}: too few to tell whether they are like the training images. It takes "
            f"{LEAST_IMAGES}."
        ]
    rows = drift.table[drift.table["drifted"]].to_dict("records")
    told = [_of_image(row) for row in rows if row["kind"] == "image"]
    told += [_of_output(row) for row in rows if row["kind"] == "output"]
    compared = f"{drift.n_new:,} new and {drift.n_training:,} training images"
    n = counted(len(drift.table), "statistic")
    if told:
        told.insert(0, f"The images have drifted, by {len(rows)} of {n} of {compared}:")
    elif len(drift.table):
        told = [f"No drift was found in {n} of {compared}. Smaller differences, or others than these, are possible."]
    return told + _of_labels(drift)


def drift_json(drift: Drift) -> dict[str, Any]:
    """Give drift as JSON values.

    Returns
    -------
    dict
        `drifted` (null: too few images to tell), `n_training`, `n_new`, `said` (sentences), and `statistics` and
        `labels`, the rows of `Drift.table` and `Drift.labels`.
    """
    return {
        "drifted": drift.drifted,
        "n_training": drift.n_training,
        "n_new": drift.n_new,
        "said": drift_sentences(drift),
        "statistics": _records(drift.table.to_dict("records")),
        "labels": _records(drift.labels.to_dict("records")),
    }


def _of_image(row: dict[Any, Any]) -> str:
    before, now = row["training_median"], row["new_median"]
    higher, lower, name, written = _WORDS[row["statistic"]]
    if written(before) == written(now):
        return f"Other than the training images in {name}, with the same median of {written(now)} {_how(row)}."
    word = higher if now > before else lower
    word = word[0].upper() + word[1:]
    return f"{word} than the training images: median {name} {written(now)}, not {written(before)} {_how(row)}."


def _of_output(row: dict[Any, Any]) -> str:
    return (
        f"Other probabilities of {row['statistic']}: median {_percent(row['new_median'])}, not "
        f"{_percent(row['training_median'])} as on training images that the network had not seen {_how(row)}."
    )


def _of_labels(drift: Drift) -> list[str]:
    told = []
    for row in drift.labels.to_dict("records"):
        before, now = row["training_share"], row["new_share"]
        if abs(now - before) >= _TOLD_SHARE and row["p_holm"] < LEVEL:
            told.append(
                f"{row['label'] or 'No label'} is given to {_percent(now)} of the new images (95\u00a0% interval "
                f"{_percent(row['ci_low'])} to {_percent(row['ci_high'])}, the model's errors included); "
                f"{_percent(before)} of the training images bear it."
            )
    return told


def _how(row: dict[Any, Any]) -> str:
    p = "p < 0.001" if row["p_holm"] < 0.001 else f"p = {row['p_holm']:.3f}"
    return f"(distance {row['distance']:.2f}, {p})"


def _records(rows: list[dict[Any, Any]]) -> list[dict[str, Any]]:
    return [{str(key): _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
