"""Where the heat of a fold's maps lies: in the border, in the corners, and inside the regions that people marked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import Shaping, lay_back
from tasks.dataset.sources.regions import Regions, read_regions
from tasks.explanation.building import shown
from tasks.explanation.location import edge_shares, inside
from tasks.explanation.map_files import StoredMaps
from tasks.explanation.maps import normalise
from tasks.explanation.measures import INSIDE
from tasks.workers.order import Material

_SIDE = 64
"""The longer side of what maps are laid back on where `pad` put bars."""

_LARGEST_MASK = 512
"""The longer side at which maps and regions are compared: maps are much coarser."""


def where_heat_lies(
    material: Material, rows: np.ndarray, y_pred: np.ndarray, good: np.ndarray, maps: Mapping[str, StoredMaps]
) -> pd.DataFrame:
    """Give the table of places of a fold's explained images.

    Parameters
    ----------
    material : Material
        Settings, labels, and where there are any, regions.
    rows : ndarray of shape (n,), int
        The explained images.
    y_pred : ndarray of shape (n,), int, or (n, n_classes), 0 or 1
        What was decided for them.
    good : ndarray of shape (n,), bool
        Whether that is right.
    maps : mapping of str to StoredMaps
        By method, the maps of these rows in their order.

    Returns
    -------
    DataFrame
        One row an image and method: `path`, `group`, `method`, `label` (the class explained), `true`, `predicted`,
        `right`, `rows` and `columns` (of the map as it is made), `blank` (whether it shows nothing), the shares of heat
        of `location.edge_shares`, and with regions `hit`, `heat_inside` and `area_inside`
        of `location.inside`, NaN for images without one.

    Raises
    ------
    InputError
        A region cannot be used.
    """
    manifest, how = material.manifest, shaping_of(material.experiment.data.preprocessing)
    table, targets = manifest.table.iloc[rows], manifest.targets
    facts = {"true": targets.texts(manifest.y[rows]), "predicted": targets.texts(y_pred), "right": good}
    tables = []
    for name, stored in maps.items():
        heat = normalise(shown(name, stored.maps))
        shares = _edge_shares(heat, table, how)
        labels = [manifest.classes[number] for number in stored.classes]
        keys = {"path": table["path"].to_numpy(), "group": table["group"].to_numpy(), "method": name, "label": labels}
        form = {"rows": heat.shape[1], "columns": heat.shape[2], "blank": ~heat.any(axis=(1, 2))}
        tables.append(pd.concat([pd.DataFrame(keys | facts | form), shares], axis=1))
    found = pd.concat(tables, ignore_index=True)
    source = material.experiment.data.regions
    if source is None:
        return found
    regions = read_regions(source, manifest.root, manifest.table["path"].tolist())
    return pd.concat([found, _in_regions(regions, table, how, maps)], axis=1)


def _edge_shares(heat: np.ndarray, table: pd.DataFrame, how: Shaping) -> pd.DataFrame:
    if how.resize != "pad":
        return edge_shares(heat)
    parts = [
        edge_shares(lay_back(one, *_within(height, width, _SIDE), how)[None])
        for one, height, width in zip(heat, table["height"], table["width"], strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _in_regions(regions: Regions, table: pd.DataFrame, how: Shaping, maps: Mapping[str, StoredMaps]) -> pd.DataFrame:
    found = np.full((len(maps), len(table), len(INSIDE)), np.nan)
    for row, (path, height, width) in enumerate(zip(table["path"], table["height"], table["width"], strict=True)):
        mask = regions.mask(path, height, width)
        if mask is None:
            continue
        mask = _thinned(mask)
        for place, (name, stored) in enumerate(maps.items()):
            hits = inside(shown(name, stored.maps[row : row + 1]), [mask], how=how)
            found[place, row] = hits.hit[0], hits.heat[0], hits.area[0]
    return pd.DataFrame(found.reshape(-1, len(INSIDE)), columns=list(INSIDE))


def _thinned(mask: np.ndarray) -> np.ndarray:
    """Give a large picture's mask by the values at evenly spaced pixels; as it is where nothing would be left of it."""
    if max(mask.shape) <= _LARGEST_MASK:
        return mask
    height, width = mask.shape
    sides = zip(_within(height, width, _LARGEST_MASK), (height, width), strict=True)
    down, across = ((np.arange(n) * 2 + 1) * size // (2 * n) for n, size in sides)
    thinned: np.ndarray = mask[down][:, across]
    return thinned if thinned.any() else mask


def _within(height: int, width: int, side: int) -> tuple[int, int]:
    """Give a size of the same shape whose longer side is `side`."""
    longer = max(height, width)
    return max(1, round(height * side / longer)), max(1, round(width * side / longer))
