"""What must never be split between folds: declared groups, copies and pictures nearly the same, taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.config import Data, InputError
from tasks.dataset.folds.folds_file import Rows
from tasks.dataset.lookalikes.near_duplicates import Pairs, near_duplicates
from tasks.dataset.manifest import Manifest
from tasks.dataset.wording import counted, listed

Groups = NDArray[np.object_]


class Leak(InputError):
    """Images that belong together stand on two sides of a split.

    Parameters
    ----------
    message
        Which ones, and how to mend it.
    fold_of_row : ndarray of shape (n_images,), int64
        The folds that are refused; -1 for images that are held out.
    """

    def __init__(self, message: str, fold_of_row: Rows) -> None:
        super().__init__(message)
        self.fold_of_row = fold_of_row

    def __reduce__(self) -> tuple[type[Leak], tuple[str, Rows]]:
        """Return how it is made again in another process."""
        return Leak, (str(self), self.fold_of_row)


def effective_groups(
    manifest: Manifest, pairs: Pairs | None, *, join_distance: int = 2, allow: Sequence[str] = ()
) -> Groups:
    """Return the group of every image that folds must respect.

    Images stand in one group if they have the same declared group, the same pixels, or hashes that differ in at most
    `join_distance` bits, directly or through other images.

    Parameters
    ----------
    manifest
        The images, with their declared groups.
    pairs
        From `near_duplicates`, over the rows of the manifest; None: only declared groups and same pixels count.
    join_distance
        The largest distance that joins; pairs further apart are for people to judge.
    allow
        Patterns of paths, as for `allowed_images`. Images that fit one are joined with no other for their looks or
        their pixels; where the data's own split or folds cut a declared group, they are in a group beside it.

    Returns
    -------
    ndarray of shape (n_images,), str or None
        An image that has no declared group and is like no other has a group of its own, named after its path. A group
        of several declared ones is named after them all. None throughout if there is nothing to keep together.
    """
    paths, allowed = manifest.table["path"].to_numpy(dtype=object), allowed_images(manifest, allow)
    declared, free = _declared(manifest, allowed), ~allowed
    edges = [_chained(declared, pd.notna(declared)), _chained(manifest.table["sha256"].to_numpy(dtype=object), free)]
    if pairs is not None:
        near = pairs.table[pairs.table["distance"] <= join_distance]
        edges.append(near[["first", "second"]].to_numpy(dtype=np.int64))
        edges[-1] = edges[-1][free[edges[-1]].all(axis=1)]
    links = np.concatenate(edges)
    if not len(links) and not pd.notna(declared).any():
        return np.full(len(paths), None, dtype=object)
    return _named(_clusters(links, len(paths)), paths, declared)


def kept_together(manifest: Manifest, data: Data) -> Manifest:
    """Return the manifest with `effective_groups` in the column `group`, and the pairs that they follow from.

    Parameters
    ----------
    manifest
        From `read_manifest`, with its facts.
    data
        The experiment file's `data`: `audit.near_duplicates` says how near, `allow_leaks` what is left out.

    Raises
    ------
    InputError
        If a pattern of `data.allow_leaks` fits no image.
    """
    near, hashes = data.audit.near_duplicates, () if manifest.facts is None else manifest.facts["hashes"].tolist()
    pairs = near_duplicates(hashes, near.distance)
    groups = effective_groups(manifest, pairs, join_distance=near.join_distance, allow=data.allow_leaks)
    return replace(manifest, table=manifest.table.assign(group=groups), pairs=pairs)


def allowed_images(manifest: Manifest, allow: Sequence[str]) -> NDArray[np.bool_]:
    """Return which images people let stand on both sides of a split, since they have seen that they only look alike.

    Parameters
    ----------
    manifest
        The images.
    allow
        Patterns of paths below the data folder, such as `rig7/*` (`*` stands for any text, slashes too).

    Returns
    -------
    ndarray of shape (n_images,), bool

    Raises
    ------
    InputError
        If a pattern fits no image.
    """
    paths = manifest.table["path"].tolist()
    allowed = np.zeros(len(paths), dtype=bool)
    for pattern in allow:
        fits = np.array([fnmatchcase(path, pattern) for path in paths], dtype=bool)
        if not fits.any():
            raise InputError(
                f"data.allow_leaks: no image below {manifest.root} fits {pattern!r}. Give paths below data.path, or "
                "patterns of them such as rig7/*."
            )
        allowed |= fits
    return allowed


def refuse_leaks(manifest: Manifest, groups: Groups, fold_of_row: Rows) -> None:
    """Raise a `Leak` if images that belong together stand in two folds, or in a fold and in the holdout.

    Folds that foldcam cuts by these groups have no such images; ready-made folds, a folds file and the data's own
    holdout may.

    Parameters
    ----------
    manifest
        The images.
    groups : ndarray of shape (n_images,), str or None
        From `effective_groups`.
    fold_of_row : ndarray of shape (n_images,), int64
        The fold of every image; -1 for images that are held out.

    Raises
    ------
    Leak
        With two images of each of the first groups; it is an `InputError`.
    """
    split = groups_across(groups, fold_of_row)
    if not split:
        return
    shown = []
    for group in split[:3]:
        rows = np.flatnonzero(groups == group)
        one, other = rows[0], rows[fold_of_row[rows] != fold_of_row[rows[0]]][0]
        shown.append(
            " and ".join(f"{manifest.table['path'][row]} ({_place(fold_of_row[row])})" for row in (one, other))
        )
    left = f" and {len(split) - 3} more" if len(split) > 3 else ""
    raise Leak(
        f"{counted(len(split), 'set')} of images that belong together, by their group, equal pixels or nearly equal "
        "looks, stand on two sides of a split, so that models would be tested on what they were trained on: "
        f"{'; '.join(shown)}{left}. Remove the copies, let foldcam cut the folds (folds.kind: auto, data.holdout: "
        "none), or name the images in data.allow_leaks if they only look alike. foldcam check shows them all.",
        fold_of_row,
    )


def assert_disjoint(groups: Groups, parts: Mapping[str, Rows]) -> None:
    """Raise if an image or a group stands in two parts of a fold run.

    Parameters
    ----------
    groups : ndarray of shape (n_images,), str or None
        From `effective_groups`; images with None are in no group.
    parts
        The rows of each part by its name: train, validation, test, holdout.

    Raises
    ------
    RuntimeError
        With the two parts and what stands in both of them.
    """
    for one, other in combinations(parts, 2):
        shared = np.intersect1d(parts[one], parts[other])
        if len(shared):
            raise RuntimeError(f"{counted(len(shared), 'image')} both in {one} and in {other}: rows {listed(shared)}")
        split = sorted((set(groups[parts[one]]) & set(groups[parts[other]])) - {None})
        if split:
            raise RuntimeError(f"{counted(len(split), 'group')} both in {one} and in {other}: {listed(split)}")


def groups_across(groups: Groups, fold_of_row: Rows) -> list[str]:
    """Return the groups that have images in two folds, or in a fold and in the holdout, sorted.

    Parameters
    ----------
    groups : ndarray of shape (n_images,), str or None
    fold_of_row : ndarray of shape (n_images,), int64
        The fold of every image; -1 for images that are held out.
    """
    known = pd.notna(groups)
    folds = pd.Series(fold_of_row[known]).groupby(groups[known]).nunique()
    return sorted(folds.index[folds > 1])


def _place(fold: int) -> str:
    return "holdout" if fold < 0 else f"fold {fold}"


def _declared(manifest: Manifest, allowed: NDArray[np.bool_]) -> Groups:
    """Return the declared groups; of those that the data itself splits, what is allowed has names of its own."""
    table = manifest.table
    declared: Groups = table["declared_group"].to_numpy(dtype=object).copy()
    if allowed.any():
        place = table["split"].fillna("").astype(str) + "/" + table["fold"].fillna("").astype(str)
        split = (place.groupby(declared).transform("nunique") > 1).to_numpy() & pd.notna(declared) & allowed
        for row in np.flatnonzero(split):
            declared[row] = f"{declared[row]} (allowed, {place.iloc[row]})"
    return declared


def _chained(values: NDArray[np.object_], counts: NDArray[np.bool_]) -> Rows:
    """Links from each row that counts to the first one with its value, of shape (n_links, 2)."""
    rows = np.flatnonzero(counts)
    codes = pd.factorize(values[rows])[0]
    first = rows[np.unique(codes, return_index=True)[1]][codes] if len(rows) else rows
    links = np.stack([first, rows], axis=1).astype(np.int64)
    chained: Rows = links[first != rows]
    return chained


def _clusters(links: Rows, n: int) -> Rows:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _named(cluster: Rows, paths: Groups, declared: Groups) -> Groups:
    """Names for the clusters that do not depend on the order of the rows."""
    named: dict[int, set[str]] = {}
    for number, group in zip(cluster.tolist(), declared, strict=True):
        if pd.notna(group):
            named.setdefault(number, set()).add(group)
    names = {number: " + ".join(sorted(within)) for number, within in named.items()}
    for number, path in zip(cluster.tolist(), paths, strict=True):
        if number not in named:
            names[number] = min(path, names.get(number, path))
    return np.array([names[number] for number in cluster.tolist()], dtype=object)
