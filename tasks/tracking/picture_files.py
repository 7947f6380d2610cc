"""Files of pictures as MLflow's pages look for them, so that a whole table goes in one upload and can be replaced.

`mlflow.log_table` and `mlflow.log_image` (3.17) write the same files one by one, and add to what is there already.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mlflow.tracking.multimedia import COMPRESSED_IMAGE_SIZE, compress_image_size
from PIL import Image

from tasks.tracking.records import GridPicture, PictureTable


def write_table(table: PictureTable, folder: Path) -> str:
    """Write a table and its pictures below `folder`, which is the run's artifact folder; gives the table's file name.

    Raises
    ------
    ValueError
        The columns are of different lengths.
    """
    place = Path("table_images") / table.name
    (folder / place).mkdir(parents=True, exist_ok=True)

    def cell(value: Any, name: str) -> Any:
        if not isinstance(value, Image.Image):
            return value
        whole, small = place / f"{name}.png", place / f"{name}.webp"
        value.save(folder / whole, compress_level=1)
        _small(value).save(folder / small, method=0)
        return {"type": "image", "filepath": whole.as_posix(), "compressed_filepath": small.as_posix()}

    rows = [
        [cell(value, f"{row:04}-{column}") for column, value in enumerate(values)]
        for row, values in enumerate(zip(*table.columns.values(), strict=True))
    ]
    file = f"{table.name}.json"
    (folder / file).write_text(json.dumps({"columns": list(table.columns), "data": rows}), encoding="utf-8")
    return file


def write_grid_picture(picture: GridPicture, folder: Path) -> None:
    """Write a picture in both sizes below `folder`, which is the run's artifact folder."""
    own = folder / "images"
    own.mkdir(parents=True, exist_ok=True)
    name = f"{picture.key.replace('/', '~')}+step+0+timestamp+0+{uuid5(NAMESPACE_URL, picture.key)}"
    shutil.copyfile(picture.path, own / f"{name}.png")
    with Image.open(picture.path) as whole:
        _small(whole.convert("RGB")).save(own / f"{name}+compressed.webp")


def _small(picture: Image.Image) -> Image.Image:
    fits = max(picture.size) <= COMPRESSED_IMAGE_SIZE
    return picture if fits else compress_image_size(picture)
