"""The demo's images: 200 real photograph patches that come inside scikit-image's wheel."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.config import InputError

N_FACES = 100


def write_faces(folder: Path) -> Path:
    """Write the 200 patches as PNG files into the class folders `face` and `other`, and return `folder`.

    They are `skimage.data.lfw_subset`: 25 × 25 pixels, grey; the first 100 are faces of Labeled Faces in the Wild
    (Huang et al. 2007), the others are not. Needs no network. A folder that holds them already is left as it is, and
    one that is not complete never stands under the final name.

    Raises
    ------
    InputError
        If the folder holds something else.
    """
    if _is_complete(folder):
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"The demo's images do not fit into {folder}: it holds something else. Move that away.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    working = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        _write_patches(working)
        working.chmod(0o755)
        working.replace(folder)
    except OSError:
        if not _is_complete(folder):  # else another process was faster
            raise
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return folder


def _write_patches(folder: Path) -> None:
    from skimage.data import lfw_subset

    for number, patch in enumerate(lfw_subset()):
        label, place = ("face", number) if number < N_FACES else ("other", number - N_FACES)
        target = folder / label / f"{label}_{place:03d}.png"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(np.rint(patch * 255).astype(np.uint8)).save(target)


def _is_complete(folder: Path) -> bool:
    return all(len(list((folder / label).glob(f"{label}_*.png"))) == N_FACES for label in ("face", "other"))
