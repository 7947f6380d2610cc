"""A chart of image sizes: width across, height up, an area for each size as large as its number of images."""

from __future__ import annotations

import math
from typing import Any

WIDTH, HEIGHT = 420, 260
"""Of the space within the axes, in units of the drawing."""
LARGEST = 14.0
"""The radius of the commonest size's circle."""
SMALLEST = 2.0
"""The least radius, so that a single image is seen."""


def size_chart(sizes: dict[str, Any]) -> dict[str, Any] | None:
    """Return circles and axes to be drawn, or None where all images have one size.

    Parameters
    ----------
    sizes
        The `image_sizes` of `Audit.to_json`.

    Returns
    -------
    dict or None
        `circles` (each with `x`, `y`, `radius` and `title`, the largest first), `across` and `up` (ticks, each with
        `at` and `text`), `width` and `height`; y goes down from the top, as in SVG.
    """
    if sizes["n_sizes"] < 2:
        return None
    across, up = (_ticks(sizes[side]["max"]) for side in ("width", "height"))
    most = max(size["n_images"] for size in sizes["common"])
    circles = [
        {
            "x": round(WIDTH * size["width"] / across[-1], 1),
            "y": round(HEIGHT - HEIGHT * size["height"] / up[-1], 1),
            "radius": round(max(SMALLEST, LARGEST * math.sqrt(size["n_images"] / most)), 1),
            "title": f"{size['width']} × {size['height']}: {size['n_images']:,}",
        }
        for size in sizes["common"]
    ]
    return {
        "circles": circles,
        "across": [{"at": round(WIDTH * tick / across[-1], 1), "text": f"{tick:,}"} for tick in across],
        "up": [{"at": round(HEIGHT - HEIGHT * tick / up[-1], 1), "text": f"{tick:,}"} for tick in up],
        "width": WIDTH,
        "height": HEIGHT,
    }


def _ticks(largest: int) -> list[int]:
    """Return round numbers from 0 to at least `largest`, at most six of them."""
    step = next(base * 10**power for power in range(12) for base in (1, 2, 5) if 5 * base * 10**power >= largest)
    return [step * number for number in range(-(-largest // step) + 1)]
