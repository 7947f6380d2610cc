"""Integrated gradients in a fold run: whether the shares add up, and figures of a few images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tasks.dataset.listed_image import open_listed
from tasks.dataset.pixels.images import shaping_of
from tasks.explanation.gallery import unique_names
from tasks.explanation.integrated_figure import integrated_figure
from tasks.explanation.map_files import StoredMaps
from tasks.workers.order import Material
from tasks.workers.workshop import Bench


def completeness(stored: StoredMaps, material: Material) -> pd.DataFrame:
    """Give one row a map of integrated gradients, in the order of the maps.

    Returns
    -------
    DataFrame
        `path`, `label` (explained), `baseline`, `steps`, `difference` (of scores, image less baseline), `gap` (how far
        the shares miss it, as a share of it; infinite where the difference alone is 0).
    """
    how = material.experiment.explanation.integrated_gradients
    return pd.DataFrame(
        {
            "path": stored.paths,
            "label": [material.manifest.classes[number] for number in stored.classes],
            "baseline": how.baseline,
            "steps": how.steps,
            "difference": stored.differences,
            "gap": stored.gaps,
        }
    )


def completeness_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Give `explain/integrated_gradients/completeness_gap`, the median of the gaps that are finite.

    It is not the mean, because a difference of scores near 0 makes any gap large.
    """
    gaps = table["gap"].to_numpy(dtype=np.float64)
    finite = gaps[np.isfinite(gaps)]
    return {"explain/integrated_gradients/completeness_gap": float(np.median(finite))} if len(finite) else {}


def write_integrated_figures(
    folder: Path, material: Material, bench: Bench, stored: StoredMaps, rows: np.ndarray, places: np.ndarray
) -> None:
    """Write `figures/<image>.png` of some maps: baseline, original, attribution and overlay beside each other.

    Parameters
    ----------
    folder : Path
        The method's folder.
    material, bench
        Settings and images, and the network's.
    stored : StoredMaps
        Maps of integrated gradients as they were made.
    rows : ndarray of shape (n,), int
        The maps' images.
    places : ndarray of int
        Which of them are drawn.

    Raises
    ------
    ValueError
        The maps come without their differences and gaps.
    """
    if stored.differences is None or stored.gaps is None:
        raise ValueError("maps without differences of scores are not those of integrated gradients")
    manifest, settings = material.manifest, material.experiment.explanation
    names = unique_names(stored.paths[places].tolist(), ".png")
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, place in zip(names, places, strict=True):
        path = str(stored.paths[place])
        integrated_figure(
            open_listed(manifest, path),
            bench.images[rows[place]],
            stored.maps[place],
            float(stored.differences[place]),
            float(stored.gaps[place]),
            baseline=settings.integrated_gradients.baseline,
            steps=settings.integrated_gradients.steps,
            title=f"{bench.built.spec.title}: {path}",
            label=manifest.classes[stored.classes[place]],
            how=shaping_of(material.experiment.data.preprocessing),
            alpha=settings.alpha,
            colormap=settings.colormap,
        ).save(folder / "figures" / name, compress_level=4)
