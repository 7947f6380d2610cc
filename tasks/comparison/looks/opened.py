"""The data's images, opened again for the pictures of a comparison."""

from __future__ import annotations

import numpy as np

from tasks.dataset.listed_image import ImageChanged, open_listed
from tasks.dataset.manifest import Manifest
from tasks.dataset.manifest_cache import file_state
from tasks.dataset.pixels.addresses import split_address
from tasks.dataset.pixels.images import Pixels
from tasks.dataset.wording import counted, listed
from tasks.workers.plan import Plan

GREY = 200
"""What a picture that is gone is filled with."""


def opened(plan: Plan, path: str) -> Pixels:
    """Give an image as 8-bit RGB; one that is gone, or is another one now, is a grey picture of the same size.

    The fold runs have read it, so that what they found is told, whatever has become of the file since.

    Parameters
    ----------
    plan : Plan
        Images and settings.
    path : str
        As in the manifest.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, 0 to 255
    """
    manifest = plan.manifest
    try:
        return open_listed(manifest, path)
    except ImageChanged:
        own = manifest.table.loc[manifest.table["path"] == path, ["height", "width"]].iloc[0]
        return np.full((int(own["height"]), int(own["width"]), 3), GREY, np.uint8)


def gone_told(plan: Plan) -> list[str]:
    """Give a sentence each on the images that have gone and that have changed since they were listed."""
    files: dict[str, str] = {path: split_address(path)[0] for path in plan.manifest.table["path"]}
    there = {file: (plan.manifest.root / file).exists() for file in set(files.values())}
    gone = [path for path, file in files.items() if not there[file]]
    changed = _changed(plan.manifest, {path for path, file in files.items() if there[file]})
    told = []
    if gone:
        told.append(
            f"The {'file' if len(gone) == 1 else 'files'} of {counted(len(gone), 'image')} went away while the "
            f"experiment ran, and pictures of them are grey: {listed(gone, 3)}."
        )
    if changed:
        told.append(
            f"{counted(len(changed), 'image')} changed while the experiment ran: {listed(changed, 3)}. The figures are "
            "of the images as they were when it began, and pictures of the changed ones are grey. Run again for those "
            "that are there now."
        )
    return told


def _changed(manifest: Manifest, there: set[str]) -> list[str]:
    """Give the images with other pixels than were listed; those whose file is as it was are not opened."""
    if manifest.facts is None:
        return []
    columns = (manifest.table["path"], manifest.facts["file_bytes"], manifest.facts["file_time"])
    changed = []
    for path, size, time in zip(*columns, strict=True):
        state = file_state(manifest.root, path)
        if path in there and (state.size, state.mtime_ns) != (size, time):
            try:
                open_listed(manifest, path)
            except ImageChanged:
                changed.append(path)
    return changed
