"""Model files of anyone's: read with care, since a file may hold code."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from tasks.backbones.enclosed import check_archive, check_enclosed
from tasks.config import InputError

_LARGEST_CONFIG = 1 << 26  # bytes; a real one takes a few MiB at most, a zip bomb says more
_OWN_CLASS = re.compile(r"(?:Could not locate (?:class|function)|Unknown layer:?) '?([\w>]+)'?")


def load_foreign(path: str | Path, *, trust: bool = False) -> Any:
    """Load a whole model that Keras has written.

    Parameters
    ----------
    path : str or Path
        A `.keras` file, or an `.h5` or `.hdf5` file of `model.save`.
    trust : bool
        Whether code in the file may run, as that of a Lambda layer with a Python lambda.

    Returns
    -------
    keras.Model
        Not compiled.

    Raises
    ------
    InputError
        The file is not there, damaged, of another kind or without architecture; it holds code and is not trusted, or
        layers whose code it does not have; or its weights are not all finite.
    """
    path = Path(path)
    config = _config(path)
    coded = list(dict.fromkeys(_layers_with_code(config, "")))
    if coded and not trust:
        raise _unsafe(path, f"The layer{'s' if len(coded) > 1 else ''} {', '.join(coded)} of it hold")
    try:
        model = keras.saving.load_model(str(path), compile=False, safe_mode=not trust)
    except Exception as fault:  # Keras raises of every kind for a file that it cannot read
        raise _unreadable(path, fault, trust) from fault
    if not isinstance(model, keras.Model):
        raise InputError(
            f"The file {path} holds a single layer ({type(model).__name__}), not a model. Save the whole model with "
            "`model.save`."
        )
    if damaged := [weight.path for weight in model.weights if not np.isfinite(weight.numpy()).all()]:
        raise InputError(
            f"The weights in {path} are not all finite ({damaged[0]}): the training diverged, or the file is "
            "damaged. Give a file whose model predicts numbers."
        )
    return model


def _config(path: Path) -> Any:
    """Give the architecture that a file describes, without building anything."""
    if path.is_dir():
        raise InputError(
            f"{path} is a folder. A model in TensorFlow's SavedModel format cannot be explained: load it where it was "
            "made, save it with `model.save('model.keras')`, and give that file."
        )
    if not path.is_file():
        raise InputError(f"There is no model file {path}.")
    read = {".keras": _keras_config, ".h5": _hdf5_config, ".hdf5": _hdf5_config}.get(path.suffix.lower())
    if read is None:
        raise InputError(
            f"The model file {path} ends in neither .keras nor .h5. Save the model with Keras's "
            "`model.save('model.keras')`, and give that file."
        )
    try:
        return json.loads(read(path))
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(
            f"The model file {path} cannot be read: it is damaged, or not a {path.suffix} file as Keras writes it "
            f"({_first_line(fault)}). Save the model again, or fetch the file again."
        ) from fault


def _keras_config(path: Path) -> bytes:
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
            raise ValueError("its description of the model is larger than any model's")
        return archive.read("config.json")


def _hdf5_config(path: Path) -> Any:
    with h5py.File(path) as file:
        check_enclosed(file)
        if "model_config" not in file.attrs:
            raise InputError(
                f"The file {path} holds weights alone, not the model they belong to. Save the whole model with "
                "`model.save('model.keras')`, and give that file."
            )
        return file.attrs["model_config"]


def _layers_with_code(node: Any, owner: str) -> Iterator[str]:
    """Yield the name of each layer whose description holds Python code."""
    if isinstance(node, dict):
        own = node.get("config")
        if isinstance(own, dict) and isinstance(own.get("name"), str):
            owner = own["name"]
        legacy = isinstance(own, dict) and own.get("function_type") == "lambda"
        if node.get("class_name") == "__lambda__" or legacy:
            yield f"`{owner}`" if owner else "without a name"
        for inner in node.values():
            yield from _layers_with_code(inner, owner)
    elif isinstance(node, list):
        for inner in node:
            yield from _layers_with_code(inner, owner)


def _unreadable(path: Path, fault: Exception, trust: bool) -> InputError:
    told = str(fault)
    if not trust and "safe_mode" in told:
        return _unsafe(path, "Layers of it hold")
    if own := _OWN_CLASS.search(told):
        return InputError(
            f"The model in {path} uses `{own[1]}`, which is not a part of Keras, and its code is not in the file. From "
            "Python, decorate it with `keras.saving.register_keras_serializable()` and import it before the model is "
            "explained, or save a model of Keras's own layers."
        )
    return InputError(
        f"The model in {path} cannot be loaded by Keras {keras.__version__}: {_first_line(fault)} If the file is "
        "whole, load it with the Keras that wrote it, and save it again with `model.save('model.keras')`."
    )


def _unsafe(path: Path, layers: str) -> InputError:
    return InputError(
        f"The model file {path} is not loaded, because it would run code. {layers} Python code that the file brings "
        "along, and that can do anything on this machine. If you know who made the file and trust them, give --trust."
    )


def _first_line(fault: Exception) -> str:
    line = next(iter(str(fault).strip().splitlines()), "") or type(fault).__name__
    line = line if len(line) <= 200 else f"{line[:200]}…"
    return line if line.endswith((".", "…", "!", "?")) else f"{line}."
