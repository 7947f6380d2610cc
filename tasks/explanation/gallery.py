"""Which images are shown, under which file names, and the folder of overlays."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tasks.dataset.pixels.shaping import STRETCHED, Shaping
from tasks.explanation.overlays import colour_table, overlay_of_square

_Job = tuple[np.ndarray, np.ndarray, Path]
_ENCODING: dict[str, dict[str, Any]] = {".png": {"compress_level": 4}, ".jpg": {"quality": 90}}
_LONGEST_STEM = 100
_LONGEST_STEM_BYTES = 200
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def choose_images(
    labels: np.ndarray, max_images: int | None, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """Choose images so that each class has its share, the same ones for every backbone.

    The choice depends on the rows and the seed alone. Every class gives one image while there is room, then the
    shares follow the class counts (Webster's method). A smaller choice is always a part of a larger one.

    Parameters
    ----------
    labels : ndarray of shape (n_images,)
        The label of each image, or a number for what is alike in kind.
    max_images : int or None
        The most images; None: all of them.
    seed : int
        The same seed gives the same choice.
    groups : ndarray of shape (n_images,) or None
        Group of each image; a class's images are taken from as many of its groups as there are.

    Returns
    -------
    ndarray of shape (n_chosen,), int64
        Row numbers, ascending.
    """
    n = len(labels)
    if max_images is None or max_images >= n:
        return np.arange(n)
    rows = pd.DataFrame({"label": np.asarray(labels), "group": np.zeros(n) if groups is None else np.asarray(groups)})
    rows = rows.iloc[np.random.default_rng(seed).permutation(n)]
    if groups is not None:
        turn = rows.groupby(["label", "group"], sort=False).cumcount()
        rows = rows.loc[turn.sort_values(kind="stable").index]
    of_label = rows.groupby("label", sort=False)
    place, size = of_label.cumcount(), of_label["label"].transform("size")
    rank = ((place + 0.5) / size).where(place > 0, -size)
    chosen = rank.sort_values(kind="stable").index[:max_images]
    return np.sort(chosen.to_numpy(dtype=np.int64))


def unique_names(paths: Sequence[str], suffix: str = ".png") -> list[str]:
    """Give each image a readable file name of its own, without folders, ending in `suffix`.

    Folders become a part of the name (`a/1.jpg` is `a__1.png`). Letters of any script, digits and blanks stay, what
    some file system refuses becomes `_`, and very long names lose their beginning. Names that would be one on a file
    system that ignores case are told apart by a hash of the path.

    Parameters
    ----------
    paths : sequence of str
        Paths of images below the data's folder, `/` between folders.
    suffix : str
        The ending, with its dot.

    Returns
    -------
    list of str
        One name a path, in order.
    """
    stems = [_stem(path) for path in paths]
    shared = Counter(stem.casefold() for stem in stems)
    met: Counter[str] = Counter()
    names = []
    for path, stem in zip(paths, stems, strict=True):
        met[path] += 1
        if shared[stem.casefold()] > 1:
            stem = f"{stem}-{_digest(f'{path}?{met[path]}' if met[path] > 1 else path)}"
        names.append(f"{stem}{suffix}")
    return names


def write_overlays(
    folder: Path,
    images: Iterable[np.ndarray],
    maps: Iterable[np.ndarray],
    names: Sequence[str],
    right: Sequence[bool] | np.ndarray,
    *,
    how: Shaping = STRETCHED,
    alpha: float = 0.4,
    colormap: str = "inferno",
    workers: int = 4,
) -> list[Path]:
    """Write each image with its map over it, at the image's own size, as PNG or JPEG by the ending of its name.

    Images are taken from the iterable a few at a time, so they need not fit in memory together.

    Parameters
    ----------
    folder : Path
        `right/` and `wrong/` are made in it.
    images : iterable of ndarray of shape (h, w, 3), uint8
        Original pictures, RGB, each of its own size.
    maps : iterable of ndarray of shape (h', w'), 0 to 1
        Maps of the network's squares, as `normalise` gives them.
    names : sequence of str
        File names, from `unique_names`, ending in `.png` or `.jpg`.
    right : sequence of bool
        Whether each image's prediction is right.
    how : Shaping
        The steps from picture to square; what their mask hides is black in the overlay.
    alpha, colormap
        As in `overlay`.
    workers : int
        Threads.

    Returns
    -------
    list of Path
        The files, in the order of the images.

    Raises
    ------
    InputError
        If there is no such colour map.
    ValueError
        If there are not as many images, maps, names and marks.
    """
    colour_table(colormap)
    if len(names) != len(right):
        raise ValueError(f"{len(names)} names do not fit to {len(right)} marks of right and wrong")
    files = [folder / ("right" if good else "wrong") / name for name, good in zip(names, right, strict=True)]
    for place in {file.parent for file in files}:
        place.mkdir(parents=True, exist_ok=True)

    def write(job: _Job) -> None:
        image, heat, file = job
        picture = overlay_of_square(image, heat, how, alpha, colormap)
        Image.fromarray(picture).save(file, **_ENCODING[file.suffix])

    jobs = zip(images, maps, files, strict=True)
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for some in _in_portions(jobs, 4 * max(workers, 1)):
            list(pool.map(write, some))
    return files


def _in_portions(items: Iterable[_Job], size: int) -> Iterator[list[_Job]]:
    source = iter(items)
    while portion := list(islice(source, size)):
        yield portion


def _stem(path: str) -> str:
    plain = _SUFFIX.sub("", unicodedata.normalize("NFC", path).replace("\\", "/"))
    joined = "__".join(part for part in plain.split("/") if part not in ("", ".", ".."))
    safe = "".join(letter if _is_safe(letter) else "_" for letter in joined).strip(" .")
    short = safe[-_LONGEST_STEM:].encode()[-_LONGEST_STEM_BYTES:].decode(errors="ignore").strip(" .")
    if short != safe:
        short = f"{short}-{_digest(path)}"
    return f"_{short}" if not short or _RESERVED.fullmatch(short) else short


def _is_safe(letter: str) -> bool:
    return letter in " -_.()" or unicodedata.category(letter)[0] in "LNM"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
