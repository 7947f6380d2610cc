"""The figure of integrated gradients: where the path begins, the image, each pixel's share, and the overlay."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tasks.config import Fill
from tasks.dataset.pixels.shaping import STRETCHED, Shaping, lay_back, masked
from tasks.explanation.building import BRIGHTEST, in_colours
from tasks.explanation.class_figures import Panel, panel_figure
from tasks.explanation.fills import filled
from tasks.explanation.methods import INTEGRATED_GRADIENTS
from tasks.explanation.overlays import colour_table, overlay

LARGE_GAP = 0.05
"""From which gap on the figure says that more steps are needed."""


def integrated_figure(
    picture: np.ndarray,
    square: np.ndarray,
    shares: np.ndarray,
    difference: float,
    gap: float,
    *,
    baseline: Fill | np.ndarray,
    steps: int,
    title: str,
    label: str,
    how: Shaping = STRETCHED,
    alpha: float = 0.4,
    colormap: str = "inferno",
    side: int = 240,
) -> Image.Image:
    """Draw baseline, original, attribution and overlay of one image beside each other.

    The attribution is the sum of a pixel's shares over its channels, where it speaks for the class; the colours end at
    the `BRIGHTEST` percentile of the pixels. The line under the title tells the steps, and how far the shares are from
    adding up to the difference of scores (Sundararajan et al., 2017, prop. 1).

    Parameters
    ----------
    picture : ndarray of shape (h, w, 3), uint8
        The original picture, RGB; what the mask of `how` hides is black.
    square : ndarray of shape (h', w', 3), 0 to 255
        What the network takes of it.
    shares : ndarray of shape (h', w')
        Each pixel's share, summed over its channels, sign kept (`Integrated.maps`).
    difference, gap : float
        The difference of scores, and how far the shares miss it (`Integrated.differences` and `.gaps`).
    baseline : {"black", "white", "blur", "mean"} or ndarray of shape (h', w', 3), 0 to 255
        Where the path began.
    steps : int
        Steps of the path.
    title : str
        What the figure shows, such as the model and the image's name.
    label : str
        The class that is explained.
    how : Shaping
        The steps from picture to square.
    alpha, colormap
        As in `tasks.explanation.overlays.overlay`, and so are the errors.
    side : int
        Height and width of a picture's place in pixels.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    height, width, _ = picture.shape
    start = filled(square, baseline) if isinstance(baseline, str) else np.asarray(baseline, dtype=np.float32)
    seen = masked(picture, how)
    heat = lay_back(in_colours(INTEGRATED_GRADIENTS, shares[None])[0], height, width, how)
    mask = colour_table(colormap)[np.clip(heat * 256, 0, 255).astype(np.uint8)]
    panels = [
        Panel(_laid_back(start, height, width, how), "Baseline", baseline if isinstance(baseline, str) else "given"),
        Panel(seen, "Original", f"{width} × {height} pixels"),
        Panel(mask, "Attribution", _told_against(shares)),
        Panel(overlay(seen, heat, alpha, colormap), "Overlay", f"for {label}"),
    ]
    note = completeness_note(difference, gap, steps)
    return panel_figure(panels, title=title, note=note, columns=len(panels), colormap=colormap, side=side)


def completeness_note(difference: float, gap: float, steps: int) -> str:
    """Tell in a line how many steps were taken, and whether the shares add up to the difference of scores.

    Parameters
    ----------
    difference : float
        The score of the image less that of the baseline.
    gap : float, 0 or more
        How far the sum is from it, as a share of it; infinite where the difference is 0.
    steps : int
        Steps of the path.
    """
    way = "rises" if difference > 0 else "falls"
    change = f"{way} by {abs(difference):.3g}" if difference else "is the same"
    taken = f"{steps} step{'' if steps == 1 else 's'}; the score {change} from baseline to image"
    if not np.isfinite(difference) or np.isnan(gap):
        return f"{steps} steps; the shares are not finite and mean nothing"
    if not difference:
        return f"{taken}, so there is nothing to share out"
    much = f"{100 * gap:.1f} %" if gap >= 0.001 else "less than 0.1 %"
    return f"{taken}; the shares miss that by {much}{': take more steps' if gap >= LARGE_GAP else ''}"


def _told_against(shares: np.ndarray) -> str:
    amount = np.abs(shares).sum(dtype=np.float64)
    if not np.isfinite(amount):
        return "not finite: nothing is shown"
    if not amount:
        return "all shares are 0"
    against = -np.minimum(shares, 0).sum(dtype=np.float64) / amount
    return f"{100 * against:.0f} % against the class, not shown\ncolours end at percentile {BRIGHTEST:.0f}"


def _laid_back(square: np.ndarray, height: int, width: int, how: Shaping) -> np.ndarray:
    """Show a square as the picture that it could have been made of."""
    channels = [lay_back(square[:, :, i], height, width, how) for i in range(3)]
    return np.rint(np.clip(np.stack(channels, axis=-1), 0, 255)).astype(np.uint8)
