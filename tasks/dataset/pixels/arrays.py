"""Images in a NumPy array: checked, mapped from disk, and as 8-bit RGB."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.dataset.pixels.decoding import ImageError, Pixels, check_range, eight_bit

_OPEN_AT_ONCE = 8
_CHUNK_BYTES = 1 << 26


def open_array(path: Path) -> NDArray[Any]:
    """Return the array of images in a `.npy` file, mapped from disk and not to be written.

    Nothing in the file is run: arrays of Python objects (pickles) are refused.

    Returns
    -------
    ndarray of shape (n_images, height, width) or (n_images, height, width, 1 or 3), of numbers or truth values

    Raises
    ------
    ImageError
        If the file is missing, is no array or cut short, holds Python objects, or has another shape or type.
    """
    try:
        status = path.stat()
    except OSError as fault:
        raise ImageError(f"the file cannot be opened: {fault.strerror}") from fault
    return _mapped(path, status.st_size, status.st_mtime_ns, status.st_ino)


def image_of(array: NDArray[Any], row: int) -> Pixels:
    """Return one image of an array as 8-bit RGB.

    Values become 8 bits as `decoding.eight_bit` says; grey images become RGB.

    Parameters
    ----------
    array
        From `open_array`.
    row
        The image's place, from 0 on.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, 0 to 255

    Raises
    ------
    ImageError
        If the array has no such row, or values lie outside their range.
    """
    if not 0 <= row < len(array):
        raise ImageError(f"the array has {len(array):,} images, and none with the number {row}")
    image = eight_bit(np.asarray(array[row]))
    if image.ndim == 2:
        image = image[:, :, None]
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def check_values(array: NDArray[Any]) -> None:
    """Refuse an array of which some image's values lie outside the range that `image_of` takes.

    The whole array is looked at, piece by piece, since a dark image of an array in 0 to 255 may lie in 0 to 1.

    Raises
    ------
    ImageError
        It names the range that was found, and the one that is taken.
    """
    if array.dtype.kind == "b" or (array.dtype.kind == "u" and array.dtype.itemsize <= 2):
        return
    highest = 1 if array.dtype.kind == "f" else 255
    step = max(1, _CHUNK_BYTES // max(1, array[0].nbytes))
    for start in range(0, len(array), step):
        check_range(array[start : start + step], highest)


@lru_cache(maxsize=_OPEN_AT_ONCE)
def _mapped(path: Path, size: int, mtime_ns: int, inode: int) -> NDArray[Any]:  # noqa: ARG001 — a changed file is new
    try:
        with np.errstate(over="ignore"):  # a shape that overflows is refused by what comes of it
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as fault:  # damaged headers raise nearly every kind
        raise ImageError(_reason(fault)) from fault
    if not isinstance(array, np.ndarray):
        array.close()
        raise ImageError("it is an archive of arrays (.npz) by its content; save a single array with numpy.save")
    _check_form(array)
    return array


def _reason(fault: Exception) -> str:
    if isinstance(fault, PermissionError):
        return "there is no permission to read the file"
    text = str(fault)
    if "pickle" in text or "Python objects" in text:
        return "it is no plain array of numbers, but a pickle of Python objects, which could run anything, or no array"
    if "mmap length" in text or "greater than file size" in text:
        return "it is shorter than its header says, so it was cut off"
    return f"it is no array that numpy.save wrote ({text.splitlines()[0] if text else type(fault).__name__})"


def _check_form(array: NDArray[Any]) -> None:
    shape = "×".join(map(str, array.shape)) or "no axes"
    if array.dtype.kind not in "buif":
        raise ImageError(f"its type is {array.dtype}, and images are numbers: save it as uint8")
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        raise ImageError(f"its shape is {shape}, with channels before height and width: move that axis to the end")
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3)):
        raise ImageError(f"its shape is {shape}, and images need images × height × width (× 1 or 3)")
    if 0 in array.shape:
        raise ImageError(f"its shape is {shape}: there is nothing in it")
