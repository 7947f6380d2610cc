"""The files that the names in a table mean."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tasks.dataset.labels import plain
from tasks.dataset.sources.tree import IMAGE_SUFFIXES


class NameProblem(ValueError):
    """A name that means no file, several, or one outside; the message begins with the name and says which."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
        """Whether the name is right as such, and the file is not there."""


class ImageNames:
    """Finds files by the names that tables give them: with or without folders, with or without ending.

    Parameters
    ----------
    root
        The data folder, absolute.
    files
        Their POSIX paths below `root`.
    """

    def __init__(self, root: Path, files: Iterable[str]) -> None:
        self._roots = [posixpath.normpath(str(folder)) for folder in (root, root.resolve())]
        self._files: dict[str, list[str]] = defaultdict(list)
        for relative in files:
            for key in _keys(plain(relative)):
                self._files[key].append(relative)
        self._tails: dict[int, dict[str, list[str]]] = {}

    def find(self, name: str, near: str, *, anywhere: bool) -> str:
        """Return the path below the data folder of the file that a name means.

        Parameters
        ----------
        name
            A path below `near` or an absolute one below the data folder; its ending may be left out.
        near
            A folder, as a path below the data folder; empty: the data folder itself.
        anywhere
            If the file is not below `near`, take the one whose path ends with the name, wherever it lies.

        Raises
        ------
        NameProblem
            If there is no such file, there are several, or the name points out of the data folder.
        """
        text = plain(name)
        found = self._found(text, near, anywhere)
        if not found and "\\" in text:
            text = text.replace("\\", "/")
            found = self._found(text, near, anywhere)
        if len(found) == 1:
            return found[0]
        if found:
            raise NameProblem(f"{name} (means {' and '.join(sorted(found)[:3])})")
        if self.path_of(text, near) is None:
            raise NameProblem(f"{name} (lies outside the data folder)")
        raise NameProblem(f"{name} (is not there)", missing=True)

    def path_of(self, name: str, near: str) -> str | None:
        """Return the path below the data folder that a name spells, or None if it points out of that folder."""
        if name.startswith("/"):
            whole = posixpath.normpath(name)
            below = [whole[len(root) + 1 :] for root in self._roots if whole.startswith(root + "/")]
            return below[0] if below else None
        path = posixpath.normpath(posixpath.join(near, name))
        return None if path == ".." or path.startswith("../") else path

    def _found(self, name: str, near: str, anywhere: bool) -> list[str]:
        path = self.path_of(name, near)
        found = [] if path is None else self._files.get(path, [])
        if found or not anywhere or path is None or name.startswith("/"):
            return found
        tail = posixpath.normpath(name)
        return self._ending(tail.count("/") + 1).get(tail, [])

    def _ending(self, n_parts: int) -> dict[str, list[str]]:
        """Files by the last parts of their keys."""
        if n_parts not in self._tails:
            tails: dict[str, list[str]] = defaultdict(list)
            for key, files in self._files.items():
                parts = key.split("/")
                if len(parts) >= n_parts:
                    tails["/".join(parts[-n_parts:])] += files
            self._tails[n_parts] = tails
        return self._tails[n_parts]


def _keys(path: str) -> list[str]:
    """Return the path, and the path without its ending if that is an image's."""
    suffix = PurePosixPath(path).suffix
    return [path, path[: -len(suffix)]] if suffix.lower() in IMAGE_SUFFIXES else [path]
