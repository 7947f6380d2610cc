"""Images to work through, however many: a file, a folder, the rows of an array, a table's list, or an address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from tasks.config import Data, InputError
from tasks.dataset.asked_images import AskedImage, find_images
from tasks.dataset.parallel import Progress
from tasks.dataset.pixels.addresses import row_address, split_address
from tasks.dataset.pixels.arrays import open_array
from tasks.dataset.pixels.images import ImageError
from tasks.dataset.sources.image_names import ImageNames, NameProblem
from tasks.dataset.sources.remote import at_hand
from tasks.dataset.sources.table import TABLE_SUFFIXES, read_table
from tasks.dataset.sources.table_columns import IMAGE_COLUMNS, find_column
from tasks.dataset.sources.tree import image_files
from tasks.dataset.store import remote_home
from tasks.dataset.wording import counted, listed


@contextmanager
def listed_images(
    place: str, *, column: str | None = None, progress: Progress | None = None
) -> Iterator[list[AskedImage]]:
    """Give the images at a place, for as long as the block lasts. None of them is opened.

    Parameters
    ----------
    place : str
        An image file; a folder, of which all images below it are taken; a `.npy` array, of which all rows are taken, or
        `array.npy#17`; a table (CSV, TSV or Parquet) that names images by paths from its own folder; or an address of
        a folder or a table (`s3://`, `https://`, …), whose files are fetched.
    column : str or None
        The table's column of paths; None: the one with a usual name, such as `image` or `path`.
    progress : callable or None
        Is called with the number of files fetched and to fetch.

    Raises
    ------
    InputError
        There is no such place, it holds no image, or it cannot be reached. What a table names and is not there, or
        cannot be read, is no error: opening it says so.
    """
    if not place.strip():
        raise InputError("PATH is empty. Name an image, a folder of images, an array or a table.")
    if "://" not in place:
        yield _local(Path(place).expanduser(), place, column)
        return
    try:
        data = Data.model_validate({"path": place, "table": {"image": column} if column else {}})
    except ValidationError as fault:
        raise InputError(f"{place} is no address of images: {fault.errors()[0]['msg']}.") from fault
    with at_hand(data, remote_home(), progress=progress) as here:
        folder = Path(here.path)
        root = folder if here.table.file is None else folder / here.table.file
        yield _local(root, place.rstrip("/"), column)


def _local(path: Path, called: str, column: str | None) -> list[AskedImage]:
    is_file = path.is_file()
    if is_file and path.suffix.lower() in TABLE_SUFFIXES:
        return _in_table(path, column)
    if column is not None:
        raise InputError(f"--column: {called} is no table ({listed(TABLE_SUFFIXES)}). Leave it out.")
    if is_file and path.suffix.lower() == ".npy":
        return _in_array(path, called)
    if path.is_dir():
        addresses = image_files(path)
        if not addresses:
            raise InputError(f"The folder {called} holds no image. Name one that does.")
        return [AskedImage(f"{called.rstrip('/')}/{address}", address, path, address) for address in addresses]
    return find_images([called])


def _in_array(path: Path, called: str) -> list[AskedImage]:
    try:
        number = len(open_array(path))
    except ImageError as fault:
        raise InputError(f"{called} is no array of images: {fault}.") from fault
    names = [row_address(path.name, row, number) for row in range(number)]
    return [AskedImage(f"{called}{name.removeprefix(path.name)}", name, path.parent, name) for name in names]


def _in_table(path: Path, column: str | None) -> list[AskedImage]:
    table = read_table(path, IMAGE_COLUMNS)
    place = find_column(table, "--column", column, IMAGE_COLUMNS)
    if place is None:
        raise InputError(
            f"{path} has no column with a usual name for paths of images ({listed(IMAGE_COLUMNS, 20)}). Its columns "
            f"are {listed(table.columns, 20)}: name one with --column."
        )
    names = list(dict.fromkeys(cell for cell in table.column(place) if cell))
    images = _named(path.parent, names)
    if not any(map(_is_there, images)):
        raise InputError(
            f"None of the {counted(len(names), 'image')} that {path} names is there: {listed(names, 3)}. Paths start "
            f"from the table's own folder, {path.parent}."
        )
    return images


def _is_there(image: AskedImage) -> bool:
    return (image.root / split_address(image.address)[0]).is_file()


def _named(root: Path, names: Sequence[str]) -> list[AskedImage]:
    """Give each name's image: at the path that it spells, else by its name without an ending or without folders."""
    known: ImageNames | None = None
    images = []
    for name in names:
        image = AskedImage(name, name, root, name)
        if not _is_there(image):
            known = known or ImageNames(root.absolute(), image_files(root))
            with suppress(NameProblem):  # opening it tells what is wrong
                image = AskedImage(name, name, root, known.find(name, "", anywhere=True))
        images.append(image)
    return images
