"""The data's images, opened again for the pictures of a comparison."""

from __future__ import annotations

import numpy as np

from tasks.dataset.pixels.addresses import open_image, split_address
from tasks.dataset.pixels.images import ImageError, Pixels
from tasks.dataset.wording import counted, listed
from tasks.workers.plan import Plan

GREY = 200
"""What a picture that is gone is filled with."""


def opened(plan: Plan, path: str) -> Pixels:
    """Give an image as 8-bit RGB; one that cannot be read any more is a grey picture of the same size.

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
        return open_image(manifest.root, path, manifest.ground)
    except ImageError:
        own = manifest.table.loc[manifest.table["path"] == path, ["height", "width"]].iloc[0]
        return np.full((int(own["height"]), int(own["width"]), 3), GREY, np.uint8)


def gone_told(plan: Plan) -> list[str]:
    """Give a sentence on the images whose files have gone since they were listed; none where all are there."""
    files: dict[str, str] = {path: split_address(path)[0] for path in plan.manifest.table["path"]}
    there = {file: (plan.manifest.root / file).exists() for file in set(files.values())}
    gone = [path for path, file in files.items() if not there[file]]
    if not gone:
        return []
    return [
        f"The {'file' if len(gone) == 1 else 'files'} of {counted(len(gone), 'image')} went away while the experiment "
        f"ran, and pictures of them are grey: {listed(gone, 3)}."
    ]
