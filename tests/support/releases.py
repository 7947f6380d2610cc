"""Small stores as releases of foldcam have written them: made by one command, opened by the tests of later releases.

`python -m tests.support.releases` writes `tests/data/releases/VERSION/store.tar.xz` for the version that is installed.
"""

from __future__ import annotations

import io
import json
import lzma
import re
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from tasks.tracking.store import open_client
from tests.support.images import write_classes
from tests.support.studio import Studio, make_studio, quick

HOUSE = Path(__file__).parents[2]

RELEASES = HOUSE / "tests" / "data" / "releases"

ARCHIVE, FACTS = "store.tar.xz", "release.json"

NAME = "kept"
"""The experiment's name, and the registered model's."""

PLACE = "@STORE@"
"""Stands for the folder of the store in the database and in text files."""

LARGEST = 500_000
"""Bytes; a store must be below."""

_BULKY = {".png", ".pdf", ".html"}
_BULKY_BYTES = 8_000
"""Pictures and pages above this are left out: they are for people, and no command reads them again."""

_TEXTS = {".yaml", ".json", ".csv", ".txt", "", ".html"}


def releases() -> list[str]:
    """Give the versions of which there is a store."""
    return sorted(folder.name for folder in RELEASES.iterdir() if (folder / ARCHIVE).is_file())


def settings() -> dict[str, object]:
    """Give the experiment that every release runs."""
    return quick(
        "images",
        name=NAME,
        backbones={"ncnn": {"size": 34, "freeze": "base"}},
        explanation={"max_images": 2, "contact_sheet_images": 2, "faithfulness_images": 0},
        champion={"enabled": True},
    )


def write_release(folder: Path) -> Path:
    """Run the experiment in a place of its own and pack what it has left; give the archive.

    Raises
    ------
    RuntimeError
        The run failed, no champion was registered, or the archive is too large.
    """
    with tempfile.TemporaryDirectory(prefix="foldcam-release-") as scratch:
        place = Path(scratch).resolve()
        open_client(f"sqlite:///{place / 'empty.db'}")
        studio = make_studio(place / "store", place / "empty.db", PREFECT_HOME=str(place / "prefect"))
        write_classes(studio.folder / "images", {"across": 8, "down": 8})
        studio.write(settings())
        done = studio.foldcam("run", "experiment.yaml", "--json", timeout=900)
        if done.returncode != 0 or not studio.client.get_model_version_by_alias(NAME, "champion"):
            raise RuntimeError(f"the run failed: {done.stderr}")
        reports = {"foldcam": version("foldcam"), "mlflow": version("mlflow"), "run": json.loads(done.stdout)}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FACTS).write_text(json.dumps(_kept_facts(reports), indent=2) + "\n", encoding="utf-8")
        return _pack(studio.folder, folder / ARCHIVE)


def open_release(release: str, folder: Path) -> Studio:
    """Unpack a release's store into a folder, as if it had been written there; give the place with it."""
    with tarfile.open(RELEASES / release / ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    for file in _text_files(folder):
        text = file.read_text(encoding="utf-8")
        if PLACE in text:
            file.write_text(text.replace(PLACE, str(folder)), encoding="utf-8")
    dump = folder / "mlflow.sql"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.executescript(dump.read_text(encoding="utf-8").replace(PLACE, str(folder)))
    dump.unlink()
    return Studio(folder, f"sqlite:///{folder / 'mlflow.db'}")


def facts_of(release: str) -> dict[str, object]:
    """Give what the release itself said of its run: versions, metrics by backbone, fold runs."""
    return dict(json.loads((RELEASES / release / FACTS).read_text(encoding="utf-8")))


def _kept_facts(reports: dict[str, object]) -> dict[str, object]:
    run = reports.pop("run")
    assert isinstance(run, dict)
    ncnn = run["backbones"]["ncnn"]
    folds = [{"fold": fold["fold"], "run_id": fold["run_id"]} for fold in ncnn["folds"]]
    mean = {name: own["mean"] for name, own in ncnn["metrics"].items()}
    return reports | {"experiment_run_id": run["experiment_run_id"], "folds": folds, "mean": mean}


def _pack(store: Path, archive: Path) -> Path:
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        dump = "\n".join(database.iterdump())
    shutil.rmtree(store / "cache", ignore_errors=True)
    for file in (store / "mlruns").rglob("*"):
        if file.suffix in _BULKY and file.stat().st_size > _BULKY_BYTES:
            file.unlink()
    for file in _text_files(store):
        file.write_text(_without_places(file.read_text(encoding="utf-8"), store), encoding="utf-8")
    (store / "mlflow.db").unlink()
    (store / "mlflow.sql").write_text(_without_places(dump, store), encoding="utf-8")
    return _compressed(store, archive)


def _without_places(text: str, store: Path) -> str:
    """Take out where the store and foldcam itself lay."""
    return text.replace(str(store), PLACE).replace(str(HOUSE), "/foldcam")


def _compressed(store: Path, archive: Path) -> Path:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(store.iterdir()):
            tar.add(path, arcname=path.name, filter=_plain)
    content = lzma.compress(packed.getvalue(), preset=9 | lzma.PRESET_EXTREME)
    if len(content) > LARGEST:
        raise RuntimeError(f"the store of this release has {len(content):,} bytes, more than {LARGEST:,}")
    archive.write_bytes(content)
    return archive


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Say nothing of whose files they were."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _text_files(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix in _TEXTS and not re.fullmatch(r".*\.(png|keras|parquet)", file.name):
            yield file


if __name__ == "__main__":
    written = write_release(RELEASES / version("foldcam"))
    sys.stdout.write(f"{written}: {written.stat().st_size:,} bytes\n")
