"""Reading weight files strictly: every weight of the base from the file, and nothing in the file left over.

Keras's own `load_weights(by_name=True)` leaves out what it does not find without a word, and loading by position
gives wrong weights as soon as the order differs; so names and shapes are compared here before anything is set.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tasks.backbones.enclosed import check_archive, check_enclosed
from tasks.config import InputError

TOPS = ("head_", "logits", "classifier", "predictions", "fc1", "fc2", "fc6", "fc7", "fc8")
"""How the names of classifier layers begin: they may stand in a file and are left out."""


def load_file(base: Any, path: Path) -> str:
    """Set every weight of a base from a file and give the file's SHA-256.

    Parameters
    ----------
    base : keras.Model
        A functional model with stable layer names. It is changed only when everything fits.
    path : Path
        An HDF5 file in the layout of Keras 1 and 2 (attributes `layer_names` and `weight_names`), or in that of
        Keras 3 (`.weights.h5`), or a `.keras` file.

    Raises
    ------
    InputError
        When the file cannot be read, or weights are missing, left over, of another shape or not finite.
    """
    try:
        with h5py.File(_hdf5(path)) as file:
            check_enclosed(file)
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs or "layer_names0" in group.attrs:
                assign(base, _legacy(group), path)
            else:
                assign(base, _by_position(group), path, by_position=True)
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, KeyError, zipfile.BadZipFile) as fault:
        raise InputError(
            f"The weight file {path} cannot be read ({fault}). It must be an HDF5 file as Keras writes it (.h5, "
            ".weights.h5) or a .keras file; if it was downloaded, fetch it again."
        ) from fault


def assign(base: Any, found: Mapping[str, Any], path: Path, *, by_position: bool = False) -> None:
    """Set every weight of a base, or none of them.

    Parameters
    ----------
    base : keras.Model
        The model whose weights are set.
    found : mapping
        Arrays by `layer/weight`, such as `conv1_bn/gamma`; by `layer/0`, `layer/1`, … with `by_position`.
    path : Path
        Where they come from, for the message.
    by_position : bool
        Whether a weight is named by its place in its layer.

    Raises
    ------
    InputError
        When weights are missing, left over, of another shape or not finite.
    """
    wanted = {
        f"{layer.name}/{place if by_position else weight.name}": weight
        for layer in base.layers
        for place, weight in enumerate(layer.weights)
    }
    both = [name for name in wanted if name in found]
    faults = {
        "missing from the file": [name for name in wanted if name not in found],
        "in the file, unknown to the network": [
            name for name in found if name not in wanted and not name.startswith(TOPS)
        ],
        "of another shape": [
            f"{name} ({tuple(found[name].shape)} in the file, {tuple(wanted[name].shape)} in the network)"
            for name in both
            if tuple(found[name].shape) != tuple(wanted[name].shape)
        ],
    }
    _refuse(base.name, path, faults)
    values = {name: np.asarray(found[name], dtype="float32") for name in wanted}
    _refuse(base.name, path, {"not finite": [name for name in wanted if not np.isfinite(values[name]).all()]})
    for name, weight in wanted.items():
        weight.assign(values[name])


def _refuse(network: str, path: Path, faults: Mapping[str, list[str]]) -> None:
    """Raise an InputError that lists the first few faults of each kind, if there is any."""
    told = [
        f"{len(names)} {kind}: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        for kind, names in faults.items()
        if names
    ]
    if told:
        raise InputError(
            f"The weight file {path} does not fit the backbone {network}. Weights {'; '.join(told)}. "
            "Nothing was loaded; give the file that belongs to this network."
        )


def _hdf5(path: Path) -> Path | io.BytesIO:
    """Give what h5py opens: the file itself, or the weights inside a `.keras` file."""
    if path.suffix != ".keras":
        return path
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read("model.weights.h5"))


def _legacy(group: Any) -> dict[str, Any]:
    """Give the arrays of a file of Keras 1 or 2 by `layer/weight`, slashes in layer names turned into `_`."""
    found = {}
    for layer in _texts(group, "layer_names"):
        for weight in _texts(group[layer], "weight_names"):
            short = weight.rsplit("/", 1)[-1].split(":")[0]
            found[f"{layer.replace('/', '_')}/{short}"] = group[layer][weight]
    return found


def _texts(group: Any, name: str) -> list[str]:
    """Give a list of texts from an attribute, which Keras cuts into `name0`, `name1`, … when it is long."""
    if name in group.attrs:
        parts = [group.attrs[name]]
    else:
        parts = [
            group.attrs[f"{name}{number}"] for number in range(len(group.attrs)) if f"{name}{number}" in group.attrs
        ]
    return [text.decode() if isinstance(text, bytes) else str(text) for part in parts for text in part]


def _by_position(group: Any) -> dict[str, Any]:
    """Give the arrays of a file of Keras 3 by `layer/position`; each group of arrays bears its layer's name."""
    found: dict[str, Any] = {}
    for layer in group["layers"].values():
        if "vars" in layer and "name" in layer["vars"].attrs:
            found |= {f"{layer['vars'].attrs['name']}/{place}": array for place, array in layer["vars"].items()}
    return found
