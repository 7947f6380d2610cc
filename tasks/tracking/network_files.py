"""Writes the fold models of a backbone as `champion_networks` reads them: what they have in common once."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tasks.tracking.champion_networks import ENDING


def write_networks(files: Sequence[Path], folder: Path, name: str) -> int:
    """Write fold models as the first one's file and, for all, what differs between them.

    The folds of a frozen base share its weights, so that they are stored once.

    Parameters
    ----------
    files : sequence of Path
        Keras files of models of one architecture, in the order of the folds.
    folder : Path
        Where `<name>.keras` and, for the place of each fold, `<name>.<place>.npz` are written.
    name : str
        The backbone.

    Returns
    -------
    int
        The bytes written.

    Raises
    ------
    ValueError
        The models differ in their architecture.
    """
    import keras

    number_of = _numbers(keras.models.load_model(files[0], compile=False))
    first = _values(files[0], number_of)
    folds: list[dict[int, NDArray[Any]]] = [{}]
    for file in files[1:]:
        own = _values(file, number_of)
        if {k: value.shape for k, value in own.items()} != {k: value.shape for k, value in first.items()}:
            raise ValueError(f"the fold models of {name} are not of one architecture, as {file} shows")
        folds.append({k: value for k, value in own.items() if not np.array_equal(value, first[k])})
    changing = sorted(set().union(*folds))
    target = folder / f"{name}{ENDING}"
    _link_or_copy(files[0], target)
    written = target.stat().st_size
    for place, own in enumerate(folds):
        part = folder / f"{name}.{place}.npz"
        changes: dict[str, Any] = {str(k): own.get(k, first[k]) for k in changing}
        np.savez(part, **changes)
        written += part.stat().st_size
    return written


def _numbers(model: Any) -> dict[str, int]:
    """Return the place among a model's weights of each array in its file, by the array's name there.

    Each weight is set to its own place and saved: what the file calls it is Keras's own affair.
    """
    for number, variable in enumerate(model.weights):
        variable.assign(np.full(variable.shape, number))
    with tempfile.TemporaryDirectory(prefix="foldcam-") as scratch:
        file = Path(scratch, "numbers.weights.h5")
        model.save_weights(file)
        with h5py.File(file) as found:
            return {name: int(np.ravel(value)[0]) for name, value in _arrays(found).items()}


def _values(file: Path, number_of: Mapping[str, int]) -> dict[int, NDArray[Any]]:
    """Return the weights in a Keras file, by their place; what else is in it, such as an optimiser's, is left out."""
    with zipfile.ZipFile(file) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as found:
        return {number_of[name]: value for name, value in _arrays(found).items() if name in number_of}


def _arrays(group: Any) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}

    def take(name: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset):
            found[name] = entry[()]

    group.visititems(take)
    return found


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
