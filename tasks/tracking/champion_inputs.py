"""What a champion takes for images: tables, lists and arrays of files, bytes, base64 texts and pixels.

Needs NumPy, pandas, Pillow and `decoding` and nothing of foldcam's, so that this very file travels with the champion.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

COLUMN = "image"
"""The column, or the key, in which images stand."""

_CHANNELS = (1, 3, 4)
_LONGEST_PATH = 4096


def rows_of(given: Any) -> list[Any]:
    """Return what was given as a list with one entry an image, none of them read yet.

    Parameters
    ----------
    given : DataFrame, Series, dict, list, ndarray, str, bytes or Path
        See `champion_model.Champion.predict`.

    Raises
    ------
    ValueError
        It holds no column of images, or an array has a shape that images do not have.
    """
    if isinstance(given, pd.DataFrame):
        return list(given[_column(given)])
    if isinstance(given, pd.Series):
        return list(given)
    if isinstance(given, dict):
        if COLUMN not in given:
            raise ValueError(f"wanted images under the key {COLUMN!r}, got the keys {sorted(map(str, given))}")
        return rows_of(given[COLUMN])
    if isinstance(given, np.ndarray):
        return _of_array(given)
    if isinstance(given, list | tuple):
        return _of_list(list(given))
    return [given]


def pixels_of(entry: Any, decoding: Any, ground: tuple[int, int, int], *, may_read_files: bool = True) -> Any:
    """Return one image as upright 8-bit RGB, decoded by the rules of training.

    Parameters
    ----------
    entry
        One of `rows_of`.
    decoding : module
        `tasks.dataset.pixels.decoding`, or the copy that travels.
    ground
        The colour behind transparency, RGB, 0 to 255.
    may_read_files
        Whether a text may be the path of a file.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, 0 to 255

    Raises
    ------
    ValueError
        It cannot be read; the message is the reason.
    """
    if isinstance(entry, dict) and set(entry) == {COLUMN}:
        entry = entry[COLUMN]
    if isinstance(entry, bytes | bytearray | memoryview):
        return decoding.decode(bytes(entry), ground)
    if isinstance(entry, str):
        return _of_text(entry, decoding, ground, may_read_files=may_read_files)
    if isinstance(entry, Path):
        if not may_read_files:
            raise ValueError("a served model reads no files: send the image's bytes in base64")
        return decoding.decode(entry, ground)
    if isinstance(entry, list | np.ndarray):
        return _of_values(entry, decoding, ground)
    raise ValueError(
        "there is no image" if entry is None or entry != entry else f"a {type(entry).__name__} is no image"
    )


def _column(table: pd.DataFrame) -> Any:
    if COLUMN in table:
        return COLUMN
    if len(table.columns) == 1:
        return table.columns[0]
    raise ValueError(f"wanted a column {COLUMN!r}, got the columns {[str(name) for name in table.columns]}")


def _of_array(array: np.ndarray) -> list[Any]:
    if array.dtype.kind in "OSU":
        return [entry.item() if isinstance(entry, np.generic) else entry for entry in array.ravel()]
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS):
        return [array]
    if array.ndim in (3, 4):
        return list(array)
    raise ValueError(
        f"an array of shape {array.shape} holds no image: wanted (height, width), with a third axis of "
        "1, 3 or 4 channels, or a batch of such"
    )


def _of_list(given: list[Any]) -> list[Any]:
    leaf: Any = given
    while isinstance(leaf, list | tuple) and len(leaf):
        leaf = leaf[0]
    if given and isinstance(given[0], list | tuple) and isinstance(leaf, int | float) and not isinstance(leaf, bool):
        try:
            return _of_array(np.asarray(given))
        except ValueError:  # images of several sizes
            return given
    return given


def _of_text(text: str, decoding: Any, ground: tuple[int, int, int], *, may_read_files: bool) -> Any:
    if text[:5].lower() == "data:":
        how, comma, content = text.partition(",")
        if not comma or not how.endswith(";base64"):
            raise ValueError("the data: address holds no base64")
        return decoding.decode(_bytes_of(content), ground)
    if may_read_files and len(text) < _LONGEST_PATH and "\0" not in text and os.path.lexists(text):
        return decoding.decode(Path(text), ground)
    shown = text if len(text) <= 60 else text[:57] + "..."
    file = "a file that is there" if may_read_files else "read as a file by a served model"
    try:
        decoded = _bytes_of(text)
    except ValueError:
        raise ValueError(f"the text {shown!r} is neither base64 nor {file}") from None
    try:
        return decoding.decode(decoded, ground)
    except decoding.ImageError as fault:
        raise ValueError(f"the text {shown!r}, taken for base64 as it is not {file}: {fault}") from None


def _bytes_of(text: str) -> bytes:
    plain = "".join(text.split()).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its base64 is damaged") from None


def _of_values(entry: Any, decoding: Any, ground: tuple[int, int, int]) -> Any:
    try:
        values = np.asarray(entry)
    except ValueError:
        raise ValueError("the rows of its pixels differ in length") from None
    if (
        values.dtype.kind not in "buif"
        or values.ndim not in (2, 3)
        or (values.ndim == 3 and values.shape[2] not in _CHANNELS)
    ):
        raise ValueError(
            f"values of type {values.dtype} and shape {values.shape} are no image: wanted numbers of shape (height, "
            "width), or with a third axis of 1, 3 or 4 channels"
        )
    if not values.size:
        raise ValueError("it has no pixels")
    image = decoding.eight_bit(values)
    if image.ndim == 3 and image.shape[2] == 4:
        behind = Image.new("RGBA", (image.shape[1], image.shape[0]), (*ground, 255))
        return np.array(Image.alpha_composite(behind, Image.fromarray(image)).convert("RGB"))
    image = image if image.ndim == 3 else image[:, :, None]
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
