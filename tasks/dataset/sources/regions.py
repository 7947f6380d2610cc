"""Regions of images that people marked: a folder of masks by the images' names, or a table of boxes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tasks.config import InputError
from tasks.dataset.pixels.images import ImageError, read_picture
from tasks.dataset.sources.image_names import ImageNames, NameProblem
from tasks.dataset.sources.region_boxes import Box, boxes_of
from tasks.dataset.sources.table import TABLE_SUFFIXES
from tasks.dataset.sources.tree import image_files
from tasks.dataset.wording import listed, nearest_sibling

_MARKS = ("_mask", "-mask", "_segmentation", "-segmentation")
"""What the name of a mask may have behind its image's."""


@dataclass(frozen=True)
class Regions:
    """Where in which images regions are marked.

    Attributes
    ----------
    source
        The folder of masks, or the table of boxes.
    of_image
        By an image's address, the file of its mask, or its boxes; images without either have no entry.
    """

    source: Path
    of_image: Mapping[str, Path | tuple[Box, ...]]

    def mask(self, image: str, height: int, width: int) -> NDArray[np.bool_] | None:
        """Give where an image's regions are, None where it has none.

        Parameters
        ----------
        image
            Its address, as in the manifest's column `path`.
        height, width
            Its size in pixels, upright.

        Returns
        -------
        ndarray of shape (height, width), bool, or None
            Of a mask file black and transparent is outside and every other colour inside; in JPEG files, which blur,
            what is at least half as bright as white. A mask of another size but of the same shape is brought to the
            picture's, each pixel taking the nearest one's value. A pixel is inside a box if its centre is. None where
            nothing is marked.

        Raises
        ------
        InputError
            If a mask cannot be read or has another shape, or a box lies outside the picture.
        """
        region = self.of_image.get(image)
        if region is None:
            return None
        if isinstance(region, Path):
            mask = _fitted(_read_mask(region), region, height, width)
        else:
            mask = _filled(region, self.source, image, height, width)
        return mask if mask.any() else None


def read_regions(source: Path, root: Path, images: Sequence[str]) -> Regions:
    """Return the regions of images; what the source says of others does not matter.

    Parameters
    ----------
    source
        A folder of masks, which are images named as the pictures are, in the same folders below it or in any if that is
        clear, with any ending and perhaps `_mask` or `_segmentation` behind the name. Or a table (.csv, .tsv, .parquet)
        of boxes, one row a box, with a column for the image, and `x_min, y_min, x_max, y_max` or `x, y, width, height`
        in pixels from the upper left corner; a row with blanks says that the image has none.
    root
        The data folder, absolute.
    images
        The addresses of the images there, as in the manifest's column `path`.

    Raises
    ------
    InputError
        If there is no such folder or table, it tells nothing of these images, or a name does not tell the image.
    """
    names = ImageNames(root, images)
    if os.path.isdir(source):  # noqa: PTH112 — Path.is_dir raises where nobody may look
        return Regions(source, _masks(source, root, images, names))
    if source.suffix.lower() in TABLE_SUFFIXES:
        return Regions(source, boxes_of(source, names))
    raise InputError(
        f"data.regions: there is no folder {source}{nearest_sibling(source)}. Give a folder of masks, or a table of "
        f"boxes whose name ends in {listed(TABLE_SUFFIXES)}."
    )


def _masks(folder: Path, root: Path, images: Sequence[str], names: ImageNames) -> dict[str, Path]:
    _refuse_read_as_images(folder, root, images)
    found: dict[str, list[str]] = defaultdict(list)
    files, faults = image_files(folder), []
    for file in files:
        try:
            found[_image_of(file, names)].append(file)
        except NameProblem as fault:
            faults += [] if fault.missing else [f"{file}: {fault}"]
    faults += [f"{image}: {' and '.join(masks)}" for image, masks in found.items() if len(masks) > 1]
    if faults:
        raise InputError(
            f"data.regions: in {folder} it is not clear which mask is for which image: {listed(faults)}. Name each "
            "mask as its image is, in the same folders."
        )
    if not found:
        shown = f"its masks are {listed(files, 3)}" if files else "it holds no images"
        raise InputError(
            f"data.regions: no mask in {folder} has the name of an image of the data ({listed(images, 3)}); {shown}. "
            "Name each mask as its image is; the ending may differ."
        )
    return {image: folder / masks[0] for image, masks in found.items()}


def _refuse_read_as_images(folder: Path, root: Path, images: Sequence[str]) -> None:
    home, masks = Path(os.path.realpath(root)), Path(os.path.realpath(folder))
    if masks.is_relative_to(home):
        prefix = "" if masks == home else masks.relative_to(home).as_posix() + "/"
        inside = [image for image in images if image.startswith(prefix)]
        if inside:
            raise InputError(
                f"data.regions: the masks in {folder} lie in the data folder and are read as images themselves: "
                f"{listed(inside, 3)}. Move them out of {root}."
            )


def _image_of(file: str, names: ImageNames) -> str:
    """Return the image that a mask is for.

    Raises
    ------
    NameProblem
        If there is none, or several.
    """
    path = PurePosixPath(file)
    stem = str(path.with_suffix(""))
    marked = [stem[: -len(mark)] for mark in _MARKS if path.stem.lower().endswith(mark) and len(path.stem) > len(mark)]
    for name in (stem, *marked):
        try:
            return names.find(name, "", anywhere=True)
        except NameProblem as fault:
            if not fault.missing:
                raise
    raise NameProblem(f"{file} (is not there)", missing=True)


def _read_mask(path: Path) -> NDArray[np.bool_]:
    from PIL import Image

    try:
        picture = read_picture(path)
    except ImageError as fault:
        raise InputError(
            f"data.regions: the mask {path} cannot be read: {fault}. Save it again, or remove it."
        ) from fault
    values = picture.pixels.max(axis=2)
    if picture.mode.startswith("I"):  # of 16 bits the pixels have the upper 8, and labels are in the lower
        with Image.open(path, formats=(picture.format,)) as image:
            values = np.asarray(image)
    return np.asarray(values > (127 if picture.format == "JPEG" else 0))


def _fitted(mask: NDArray[np.bool_], path: Path, height: int, width: int) -> NDArray[np.bool_]:
    rows, columns = mask.shape
    if mask.shape == (height, width):
        return mask
    if abs(rows * width - columns * height) > max(rows, columns, height, width):
        raise InputError(
            f"data.regions: the mask {path} has {columns} x {rows} pixels and its image {width} x {height}, which is "
            "another shape. Give a mask of the whole picture, upright as people see it."
        )
    down = (np.arange(height) * 2 + 1) * rows // (2 * height)
    across = (np.arange(width) * 2 + 1) * columns // (2 * width)
    return np.asarray(mask[down][:, across])


def _filled(boxes: tuple[Box, ...], source: Path, image: str, height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), dtype=np.bool_)
    down, across = np.arange(height) + 0.5, np.arange(width) + 0.5
    for box in boxes:
        if box.left >= width or box.top >= height or box.right <= 0 or box.bottom <= 0:
            raise InputError(
                f"data.regions: a box of {image} in {source} ({box.where}) lies outside the picture, which has {width} "
                f"x {height} pixels. Boxes are in pixels from the upper left corner of the upright picture."
            )
        rows, columns = (down >= box.top) & (down < box.bottom), (across >= box.left) & (across < box.right)
        mask |= rows[:, None] & columns[None, :]
    return mask
