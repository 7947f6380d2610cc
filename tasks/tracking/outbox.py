"""Where a run's content waits on disk while the tracking server cannot be reached, and how it is written there.

A parcel is a folder: `head.json` (which run), a folder for each call in their order, and at last `sealed.json` (how the
run ended). Each is written aside and renamed, so that it is there whole or not at all; only what is sealed is
delivered.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.tracking.calls import Call, write_call
from tasks.tracking.refusals import without_sign_in
from tasks.upkeep.found import size_of

HEAD, SEAL, DONE = "head.json", "sealed.json", "delivered.json"


@dataclass(frozen=True)
class Head:
    """Which run it is, with all that is needed to make it.

    Attributes
    ----------
    address : str
        The tracking server's, without a password.
    experiment : str
        The name of the MLflow experiment.
    level, name : str
        The run's.
    key : str
        Tells it from every other run, whether it has an id yet or not.
    run_id : str or None
        MLflow's id; None where the run could not be made.
    tags : dict of str to str
        What the run is made with.
    started : int
        Milliseconds since 1970.
    owner : str
        The process that answers for the run, as in its tag.
    by : str
        The process that writes the parcel, in the same form.
    """

    address: str
    experiment: str
    level: str
    name: str
    key: str
    run_id: str | None
    tags: Mapping[str, str]
    started: int
    owner: str
    by: str

    def to_json(self) -> dict[str, Any]:
        """Give the fields as JSON has them."""
        return asdict(self)


def head_of(details: Mapping[str, Any]) -> Head | None:
    """Give the head that an order to a worker brings along as `run`; None where it brings none."""
    return Head(**details["run"]) if "run" in details else None


@dataclass(frozen=True)
class Seal:
    """How a run ended: its status, why, and when (milliseconds since 1970)."""

    status: str
    reason: str
    ended: int


def waiting_home() -> Path:
    """Give the folder of what waits: `FOLDCAM_HOME/waiting`, or one among the user's data; it is no cache."""
    if home := os.environ.get("FOLDCAM_HOME"):
        return Path(home).expanduser() / "waiting"
    from platformdirs import user_data_path

    return user_data_path("foldcam") / "waiting"


class Parcel:
    """One run's content on disk.

    Parameters
    ----------
    folder : Path
        Its place in the outbox.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def head(self) -> Head:
        """Which run it is."""
        return Head(**json.loads((self.folder / HEAD).read_text(encoding="utf-8")))

    @property
    def seal(self) -> Seal | None:
        """How the run ended; None while it has not."""
        try:
            return Seal(**json.loads((self.folder / SEAL).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    @property
    def calls(self) -> list[Path]:
        """The folders of its calls, in their order."""
        return sorted(part for part in self.folder.iterdir() if part.is_dir() and part.name.isdigit())

    def add(self, call: Call) -> None:
        """Put a call behind the others."""
        aside = self.folder / f".{uuid.uuid4().hex}.part"
        aside.mkdir()
        try:
            write_call(call, aside)
            aside.rename(self.folder / f"{len(self.calls):04d}")
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise

    def close(self, seal: Seal) -> None:
        """Say how the run ended: from now on it may be delivered."""
        write_json(self.folder / SEAL, asdict(seal))

    def bytes(self) -> int:
        """Give its size on disk."""
        return size_of(self.folder)

    def remove(self) -> None:
        """Delete it, the name first, so that no half of it is taken for a whole; another process may have done so."""
        gone = self.folder.with_name(f".{self.folder.name}.gone")
        with suppress(FileNotFoundError):
            self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


class Outbox:
    """The parcels of this machine.

    Parameters
    ----------
    home : Path, optional
        Their folder; default: `waiting_home()`.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = waiting_home() if home is None else home

    def parcels(self) -> list[Parcel]:
        """Give the parcels, the oldest run first; one that another process removes meanwhile is not there."""
        if not self.home.is_dir():
            return []
        found = []
        for part in self.home.iterdir():
            if part.name[0] != "." and (part / HEAD).is_file():
                parcel = Parcel(part)
                with suppress(FileNotFoundError):
                    found.append((parcel.head.started, part.name, parcel))
        return [parcel for *_, parcel in sorted(found, key=lambda own: own[:2])]

    def sweep(self) -> None:
        """Delete the rest of parcels whose removal was cut short."""
        for gone in self.home.glob(".*.gone"):
            shutil.rmtree(gone, ignore_errors=True)

    def find(self, key: str) -> Parcel | None:
        """Give the parcel of a run, or None."""
        folder = self.home / key
        return Parcel(folder) if (folder / HEAD).is_file() else None

    def parcel(self, head: Head) -> Parcel:
        """Give the parcel of a run, begun now if there is none."""
        folder = self.home / head.key
        if not (folder / HEAD).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / HEAD, replace(head, address=without_sign_in(head.address)).to_json())
        return Parcel(folder)


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    aside = file.with_name(f".{uuid.uuid4().hex}.part")
    with aside.open("w", encoding="utf-8") as out:
        out.write(json.dumps(value, ensure_ascii=False))
        out.flush()
        os.fsync(out.fileno())  # else a power cut may leave the name with nothing in it
    aside.replace(file)
