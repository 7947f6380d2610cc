"""Weights for a base: from Keras's loader, from the published VGGFace files, or from a file; all of it or an error."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from tasks.backbones.applications import application
from tasks.backbones.spec import BackboneSpec
from tasks.backbones.stable import stable_names
from tasks.backbones.weight_files import assign, load_file
from tasks.config import InputError

VGGFACE_RELEASE = "https://github.com/rcmalli/keras-vggface/releases/download/v2.0"
CONNECT_SECONDS = 10
"""How long a silent server is waited for."""


def load_weights(model: Any, spec: BackboneSpec, source: str) -> str:
    """Load a base's weights and give a SHA-256 of what was loaded: the file, or for `imagenet` the weights in it.

    Parameters
    ----------
    model : keras.Model
        The base, as `build_base` gives it: every weight in it is set, or an error is raised.
    spec : BackboneSpec
        The backbone that the base belongs to.
    source : str
        `imagenet`, `vggface`, or the path of a file: `.h5` as Keras 1 and 2 wrote it, `.weights.h5` or `.keras` of
        a model of this package.

    Raises
    ------
    InputError
        When the file cannot be had, cannot be read, or does not fit the base.
    """
    spec.check_weights(source)
    if source == "imagenet" and source in spec.weight_sources:
        return _load_imagenet(model, spec)
    if source == "vggface" and source in spec.weight_sources:
        return load_file(model, _vggface_file(spec))
    return load_file(model, Path(source))


def random_digest(spec: BackboneSpec, seed: int) -> str:
    """Give a SHA-256 that stands for the base's random weights under this seed."""
    return hashlib.sha256(f"none/{spec.name}/{seed}".encode()).hexdigest()


def keras_home() -> Path:
    """Give the folder in which Keras keeps what it downloads (`KERAS_HOME`, else `.keras` in the home folder)."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()


def _load_imagenet(base: Any, spec: BackboneSpec) -> str:
    """Copy the weights out of Keras's own pretrained model, layer by layer under their stable names."""
    folder = keras_home() / "models"
    [file] = spec.weight_sources["imagenet"]
    with downloading(folder, file):
        trained = application(spec.name, weights="imagenet")
    names = stable_names(trained)
    found = {
        f"{names[layer.name]}/{weight.name}": weight.numpy() for layer in trained.layers for weight in layer.weights
    }
    assign(base, found, folder / file)
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode())
        digest.update(found[name].tobytes())
    return digest.hexdigest()


def _vggface_file(spec: BackboneSpec) -> Path:
    """Give the published file from the cache folder, with top or without; download it when it is not there."""
    folder = keras_home() / "models" / "vggface"
    files = spec.weight_sources["vggface"]
    for file in files:
        if (folder / file).is_file():
            return folder / file
    target = folder / files[0]
    with downloading(folder, target.name):
        if not target.is_file():
            part = keras.utils.get_file(
                f"{target.name}.part",
                f"{VGGFACE_RELEASE}/{target.name}",
                cache_subdir=str(folder),
                force_download=True,
            )
            Path(part).replace(target)
    return target


@contextlib.contextmanager
def downloading(
    folder: Path, file: str, *, what: str = "weight file", way_out: str = ", or set `weights: none`"
) -> Iterator[None]:
    """Let one process at a time download into `folder`, with a time limit, and turn a failure into an InputError."""
    patience = socket.getdefaulttimeout()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / ".foldcam.lock"), contextlib.redirect_stdout(sys.stderr):
            socket.setdefaulttimeout(CONNECT_SECONDS)
            yield
    # Keras raises a bare Exception when a download fails.
    except Exception as fault:
        raise InputError(
            f"The {what} {file} is not whole in {folder} and could not be downloaded ({fault}). Download it on a "
            f"machine with a network and put it in that folder under that name{way_out}."
        ) from fault
    finally:
        socket.setdefaulttimeout(patience)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes, let go even when the process dies."""
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
