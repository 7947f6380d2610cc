"""What the training images look like in numbers, for later images to be held against: a table that a model takes along.

No pixels and no names are in it.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from tasks.dataset.listed_image import open_listed
from tasks.dataset.lookalikes.picture_facts import picture_facts
from tasks.dataset.manifest import Manifest
from tasks.dataset.parallel import in_threads
from tasks.dataset.pixels.images import Pixels

STATISTICS = ("brightness", "contrast", "sharpness", "commonest", "red", "blue", "width", "height")
"""What is measured of every image: see `PictureFacts`; width and height are in pixels, upright."""

OUTPUT = "output/"
"""What the names of columns begin with that hold one fold's probability of a class, scaled as the model's, 0 to 1."""

_PROBABILITY = "prob/"


def reference_statistics(manifest: Manifest, out_of_fold: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the statistics of the images that models were trained on, one row an image; the holdout is left out.

    Parameters
    ----------
    manifest : Manifest
        The images.
    out_of_fold : DataFrame or None
        A backbone's out-of-fold predictions (`path`, `prob/<class>`, 0 to 1): what a network that had not seen the
        image gave for it. Only so can they be held against what it gives for new images. Of an image with several rows
        the first one counts.

    Returns
    -------
    DataFrame
        `group` (int64; images of one number belong together), `label` (as the data writes it), the columns
        `STATISTICS` (float64), and with predictions `output/<class>` (float64, 0 to 1; NaN for an image without one).

    Raises
    ------
    InputError
        An image is gone or cannot be read any more, where reading the data did not leave its statistics.
    """
    table = manifest.table.reset_index(drop=True)
    facts = statistics_of_files(manifest) if manifest.facts is None else manifest.facts.reset_index(drop=True)
    groups = table["group"].where(table["group"].notna(), table["path"])
    columns = {"group": groups, "label": table["label"].astype(object)}
    for name in STATISTICS:
        columns[name] = (table if name in table else facts)[name].astype("float64")
    found = pd.DataFrame(columns)
    if out_of_fold is not None:
        outputs = out_of_fold.drop_duplicates("path").set_index("path")
        for name in (str(one) for one in outputs if str(one).startswith(_PROBABILITY)):
            found[OUTPUT + name.removeprefix(_PROBABILITY)] = table["path"].map(outputs[name]).astype("float64")
    found = found[(table["split"] != "holdout").to_numpy()].reset_index(drop=True)
    return found.assign(group=pd.factorize(found["group"])[0].astype("int64"))


def statistics_of(pictures: Iterable[Pixels]) -> pd.DataFrame:
    """Return the columns `STATISTICS` of decoded images, one row an image.

    Parameters
    ----------
    pictures : iterable of ndarray of shape (height, width, 3), uint8, 0 to 255
    """
    return pd.DataFrame([picture_statistics(one) for one in pictures], columns=list(STATISTICS), dtype="float64")


def picture_statistics(picture: Pixels) -> dict[str, float]:
    """Return the values of `STATISTICS` by name for one decoded image, of shape (height, width, 3), 0 to 255."""
    facts = picture_facts(picture)._asdict() | {"width": picture.shape[1], "height": picture.shape[0]}
    return {name: float(facts[name]) for name in STATISTICS}


def statistics_of_files(manifest: Manifest) -> pd.DataFrame:
    """Return the columns `STATISTICS` of the manifest's images, opened again.

    Raises
    ------
    ImageChanged
        One is gone, cannot be read, or is another one.
    """

    def look(path: str) -> dict[str, float]:
        return picture_statistics(open_listed(manifest, path))

    paths = [str(path) for path in manifest.table["path"]]
    return pd.DataFrame(in_threads(look, paths), columns=list(STATISTICS), dtype="float64")
