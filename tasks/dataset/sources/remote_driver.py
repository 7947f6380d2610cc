"""What fsspec's drivers are asked for: which files lie at an address, and one of them; bounded in time and tries."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote

from tasks.config import InputError
from tasks.dataset.parallel import in_threads
from tasks.dataset.sources.remote_faults import explained, is_passing, is_unreachable, lacks_credentials, underlying

R = TypeVar("R")

_TAGS = (
    *("ETag", "etag", "md5Hash", "Content-MD5", "Digest", "CRC", "checksum"),
    *("LastModified", "Last-Modified", "last_modified", "updated", "mtime", "modified", "created", "date_time"),
)
"""What drivers call that by which a changed file is known, the surest first."""
LISTS_NOTHING = "Name a table of the images where a server lists no files: data.path: https://…/train.csv."
_WAITS = (0.2, 1.0, 3.0)
"""Seconds before a second, third and fourth try."""
_THREADS = 16
_DEPTH = 20
"""How many folders deep index pages are followed, which may lead round in circles."""


class RemoteFile(NamedTuple):
    """A file at an address."""

    name: str
    """Its POSIX path below the address."""
    place: str
    """What the driver calls it."""
    size: int | None
    """In bytes, if it is known."""
    tag: str
    """Is another one when the content changes; empty if nothing tells."""


class Remote:
    """The files below an address.

    Parameters
    ----------
    address
        As fsspec takes it, such as `s3://bucket/folder`.

    Raises
    ------
    InputError
        If there is no driver for it, or the driver cannot begin.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._anonymous = False
        self._open()

    def files(self, wanted: Callable[[str], bool]) -> list[RemoteFile]:
        """Return the files below the address whose names are wanted, sorted by name.

        Raises
        ------
        InputError
            If it cannot be reached, may not be read, is no folder, or holds nothing at all.
        """
        found = self._ask(self._listing)
        if not found:
            self._ask(lambda driver: driver.ls(self._root, detail=False))  # which says why, if it is not empty
            raise InputError(f"data.path: there is nothing below {self.address}. Is it spelled right?")
        named = sorted((self._name(place), place) for place in found)
        if [name for name, _ in named] == [""]:
            raise InputError(self._one_file())
        if self._is_web:
            named = [(name, place) for name, place in named if _is_below(name, place)]
            places = [place for name, place in named if wanted(name)]
            facts = in_threads(lambda place: self._ask(lambda driver: driver.info(place)), places, workers=_THREADS)
            found = dict(zip(places, facts, strict=True))
        return [_file(name, place, found[place]) for name, place in named if wanted(name)]

    def find(self, name: str) -> RemoteFile | None:
        """Return the file of this name below the address, or None if it is not there.

        Raises
        ------
        InputError
            If that cannot be told.
        """
        place = f"{self._root}/{quote(name) if self._is_web else name}"
        try:
            facts = self._ask(lambda driver: driver.info(place), missing_is_fault=False)
        except FileNotFoundError:
            return None
        return None if facts.get("type") == "directory" else _file(name, place, facts)

    def fetch(self, file: RemoteFile, path: Path) -> None:
        """Write a file's content to `path`.

        Raises
        ------
        InputError
            If it cannot be read, or has not the size it had.
        """
        self._ask(lambda driver: driver.get_file(file.place, str(path)), patient=True)
        size = path.stat().st_size
        if file.size is not None and size != file.size:
            raise InputError(
                f"{self.address}: {file.name} has {file.size:,} bytes by the listing, and {size:,} came. Was it "
                "changed meanwhile? Run again."
            )

    @property
    def workers(self) -> int:
        """How many files may be fetched at a time."""
        return _THREADS if self._driver.async_impl else 1

    @property
    def _is_web(self) -> bool:
        return self.address.startswith(("http://", "https://"))

    def _open(self) -> None:
        from fsspec.core import url_to_fs

        try:
            options = _options(self.address, self._anonymous)
            self._driver, root = url_to_fs(self.address, skip_instance_cache=True, **options)
        except Exception as fault:  # each driver has errors of its own
            raise InputError(explained(self.address, fault)) from fault
        self._root = root.rstrip("/")

    def _listing(self, driver: Any) -> dict[str, Mapping[str, Any]]:
        from fsspec import AbstractFileSystem
        from fsspec.asyn import AsyncFileSystem

        kind = type(driver)
        walks = kind._find is AsyncFileSystem._find if driver.async_impl else kind.find is AbstractFileSystem.find
        bounds: dict[str, Any] = {"on_error": "raise"} if walks else {}  # a walk leaves out what it cannot read
        if self._is_web:
            bounds["maxdepth"] = _DEPTH
        found: dict[str, Mapping[str, Any]] = driver.find(self._root, detail=True, **bounds)
        return {place: facts for place, facts in found.items() if not place.endswith("/")}

    def _name(self, place: str) -> str:
        name = place.removeprefix(self._root).removeprefix("/")
        return unquote(name) if self._is_web else name

    def _one_file(self) -> str:
        packed = PurePosixPath(self.address).suffix.lower() in (".zip", ".tar", ".tgz", ".gz")
        if packed:
            kind = "zip" if self.address.lower().endswith(".zip") else "tar"
            hint = f" For the images in it: {kind}://::{self.address}."
        else:
            hint = f" {LISTS_NOTHING}" if self._is_web else ""
        return f"data.path must be a folder of images or a table of them, and {self.address} lists no files.{hint}"

    def _ask(self, question: Callable[[Any], R], *, missing_is_fault: bool = True, patient: bool = False) -> R:
        """Ask the driver, again after faults that may pass; without credentials, as everybody may.

        The patient also wait for a server that answered before and is silent now.
        """
        waits = iter(_WAITS)
        while True:
            try:
                return question(self._driver)
            except Exception as raised:  # each driver has errors of its own
                fault = underlying(raised)
                if isinstance(fault, FileNotFoundError) and not missing_is_fault:
                    raise
                if lacks_credentials(fault) and not self._anonymous:
                    self._anonymous = True
                    self._open()
                    continue
                may_pass = is_passing(fault) or (patient and is_unreachable(fault))
                wait = next(waits, None) if may_pass else None
                if wait is None:
                    raise InputError(explained(self.address, fault, anonymous=self._anonymous)) from fault
            time.sleep(wait)


def _file(name: str, place: str, facts: Mapping[str, Any]) -> RemoteFile:
    tag = next((f"{key} {facts[key]}" for key in _TAGS if facts.get(key)), "")
    size = facts.get("size")
    return RemoteFile(name, place, None if size is None else int(size), tag)


def _is_below(name: str, place: str) -> bool:
    """Whether a link of an index page leads to a file below the page, and not to another view of it."""
    return not set("?#") & set(place) and ".." not in name.split("/")


def _options(address: str, anonymous: bool) -> dict[str, dict[str, Any]]:
    """Return each driver's options: limits in time, which fsspec's own settings may change."""
    from fsspec.config import conf

    options: dict[str, dict[str, Any]] = {}
    for link in address.split("::"):
        protocol = link.partition("://")[0]
        own: dict[str, Any] = {"skip_instance_cache": True}
        if protocol in ("s3", "s3a"):
            own["config_kwargs"] = {"retries": {"total_max_attempts": 1}}
            if anonymous:
                own["anon"] = True
        elif protocol in ("http", "https"):
            from aiohttp import ClientTimeout

            limits = ClientTimeout(total=None, sock_connect=10, sock_read=20)
            own["client_kwargs"] = {"trust_env": True, "timeout": limits}
        for key in ("config_kwargs", "client_kwargs"):
            if key in own:
                own[key] |= conf.get(protocol, {}).get(key, {})
        options[protocol] = own
    return options
