"""Small data sets laid out as those of the studies that foldcam unites, of pictures that a tiny net tells apart.

What a picture is of shows in its colours; its light and dark patches are its own, so that no two look alike.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

OCT_CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")
LEAF_LABELS = ("scab", "frog_eye_leaf_spot", "rust", "complex", "powdery_mildew")
LEAF_COMBINATIONS = (
    "healthy",
    *LEAF_LABELS,
    "scab frog_eye_leaf_spot",
    "scab frog_eye_leaf_spot complex",
    "rust frog_eye_leaf_spot",
    "powdery_mildew complex",
)
N_GRADES = 5
TRAPS = ("S03_air.jpg", "S03_friction.jpg", "S07_cry.jpg")
"""Names of pictures that show neither pain nor rest."""

_COLOURS = np.array([[1.0, 0.3, 0.2], [0.2, 1.0, 0.3], [0.3, 0.4, 1.0], [1.0, 0.9, 0.2], [0.9, 0.3, 1.0]])
_GREY = np.array([0.6, 0.6, 0.6])


def oct_folders(root: Path, *, leak: bool = False) -> Path:
    """Write study A's: train, val and test above class folders, names `CLASS-PATIENT-NUMBER.jpeg`; gives `root`.

    A class has five patients in train with three scans each, of whom the first has a scan in val too, and two other
    patients in test with two scans each. With `leak`, the first patient of train has a scan in test.
    """
    for kind, label in enumerate(OCT_CLASSES):
        patients = [1000 * (kind + 1) + number for number in range(7)]
        scans = [("train", patient, number) for patient in patients[:5] for number in (1, 2, 3)]
        scans += [("test", patient, number) for patient in patients[5:] for number in (1, 2)]
        scans += [("val", patients[0], 4), *([("test", patients[0], 5)] if leak else [])]
        for split, patient, number in scans:
            file = root / split / label / f"{label}-{patient}-{number}.jpeg"
            _save(file, _drawn(_COLOURS[kind], seed=(patient, number), size=(32, 40)))
    return root


def leaf_table(root: Path, *, copies: int = 4) -> Path:
    """Write study B's: a folder of images and `train.csv` with labels separated by blanks; gives `root`.

    Every combination of labels has `copies` images; a label shows as a band of its colour at its own height.
    """
    rows = [("image", "labels")]
    for number in range(copies * len(LEAF_COMBINATIONS)):
        labels = LEAF_COMBINATIONS[number % len(LEAF_COMBINATIONS)]
        given = labels.split()
        bands = [_COLOURS[k] if label in given else _GREY for k, label in enumerate(LEAF_LABELS)]
        name = f"{0x800113BB65EFE69E + 0x1F3D5B79 * number:016x}.jpg"
        colours = np.repeat(np.array(bands), 8, axis=0)[:, None, :]
        _save(root / "train_images" / name, _drawn(colours, seed=(7, number), size=(40, 48)))
        rows.append((name, labels))
    return _write_table(root / "train.csv", rows).parent


def retina_arrays(root: Path, *, side: int = 40) -> Path:
    """Write study C's: arrays of square pictures, and tables of grades beside training and validation; gives `root`.

    Each grade has six pictures in training and two in validation; test has four without a grade. The higher the grade,
    the redder the disc; what lies outside it is bright, and the same for all.
    """
    root.mkdir(parents=True)
    rows, columns = (np.mgrid[:side, :side] - (side - 1) / 2) / (side / 2)
    outside = rows**2 + columns**2 > 1
    for split, copies in (("training", 6), ("validation", 2), ("test", 1)):
        grades = np.tile(np.arange(N_GRADES), copies) if split != "test" else np.arange(4)
        pictures = [_retina(int(grade), (len(split), number), outside) for number, grade in enumerate(grades)]
        np.save(root / f"{split}.npy", np.stack(pictures))
        if split != "test":
            cells = [(f"{split}_{number}", str(grade)) for number, grade in enumerate(grades)]
            _write_table(root / f"{split}.csv", [("id_code", "diagnosis"), *cells])
    return root


def neonatal_folds(root: Path, *, n_folds: int = 10, traps: bool = False) -> Path:
    """Write study E's: folders `fold_01` and so on with loose images, the class in their names; gives `root`.

    A fold has two pictures of each class. With `traps`, the third one also has pictures of `TRAPS`.
    """
    names = ("ID{child:02d}_sem_1.jpg", "S{child:02d}_rest_2.jpg", "ID{child:02d}_com_1.jpg", "S{child:02d}_pain_2.jpg")
    for fold in range(1, n_folds + 1):
        for number, name in enumerate(names):
            file = root / f"fold_{fold:02d}" / name.format(child=fold)
            _save(file, _drawn(_COLOURS[2 if number < 2 else 0], seed=(fold, number), size=(48, 40)))
    for number, name in enumerate(TRAPS if traps else ()):
        _save(root / "fold_03" / name, _drawn(_COLOURS[1], seed=(99, number), size=(48, 40)))
    return root


def photographs(root: Path) -> Path:
    """Write study D's: two photographs without labels, of odd sizes, one in a folder of its own; gives `root`."""
    _save(root / "on the beach.jpg", _drawn(_COLOURS[3], seed=(4, 1), size=(187, 331)))
    _save(root / "holiday" / "cat.png", _drawn(_COLOURS[0], seed=(4, 2), size=(301, 215)))
    return root


def _retina(grade: int, seed: Sequence[int], outside: np.ndarray) -> np.ndarray:
    share = grade / (N_GRADES - 1)
    pixels = _drawn(_COLOURS[0] * share + _COLOURS[2] * (1 - share), seed=seed, size=outside.shape)
    pixels[outside] = 250
    return pixels


def _drawn(colours: np.ndarray, *, seed: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Give patches of light and shade over colours that broadcast to (height, width, 3), 0 to 1."""
    height, width = size
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.uniform(0.25, 1.0, (6, 6)).astype(np.float32))
    shade = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))[:, :, None]
    return np.clip(230 * shade * colours + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


def _save(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, quality=92)


def _write_table(file: Path, rows: Iterable[Sequence[str]]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return file
