"""Files that hold where a fit stands, so that one that was killed goes on from its last whole epoch."""

from __future__ import annotations

import json
import logging
import os
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

FORMAT = 1
SHARE = 0.02
"""The most of a fit's time that writing its state may take."""
KEPT_DAYS = 30
"""A state that nobody has gone on from for so long is removed."""
_FIRST_BYTES_A_SECOND, _FIRST_SECONDS = 2e8, 0.002
"""What writing is taken to cost before it has been measured: that of a slow disk."""
_HEADER = "header"


@dataclass(frozen=True)
class FitState:
    """Where a fit stands after a whole epoch.

    Attributes
    ----------
    facts : dict
        What JSON can hold: the history, and where early stopping and the cuts of the rate stand.
    arrays : dict of str to ndarray
        Weights, the optimizer's variables and random states, by name.
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class States:
    """The file of one fit's state: written whole or not at all, often enough, and not too often.

    It is written after an epoch when the work since the last time is worth 1 / `share` times what writing costs, so
    that an epoch at most is lost, or that much work where epochs are shorter.

    Parameters
    ----------
    file : Path
        Ends in `.npz`; its folder is made when first needed, and holds the states of other fits too.
    identity : mapping of str to str
        All that decides how the fit goes on; a file of another identity is not used.
    max_gb : float
        The disk space in GB (10⁹ bytes) for all states of the folder; the oldest go first.
    share : float
        The most of the time that writing may take.
    """

    def __init__(self, file: Path, identity: Mapping[str, str], max_gb: float, share: float = SHARE) -> None:
        self.file, self.identity, self.max_gb, self.share = file, dict(identity), max_gb, share
        self._cost: float | None = None
        self._since = time.perf_counter()
        self._usable = True

    def read(self) -> FitState | None:
        """Give the state that is kept; None if there is none, or none that can be used, which is logged."""
        self._since = time.perf_counter()
        if not self.file.exists():
            return None
        try:
            with np.load(self.file, allow_pickle=False) as kept:
                arrays = {name: kept[name] for name in kept.files}
            header = json.loads(arrays.pop(_HEADER).tobytes())
            found = header["identity"] | {"format": header["format"]}
            wanted = self.identity | {"format": FORMAT}
            if other := sorted(name for name in wanted | found if wanted.get(name) != found.get(name)):
                self.refuse(f"it is of another fit ({', '.join(other)})")
                return None
            return FitState(dict(header["facts"]), arrays)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as fault:
            self.refuse(f"it is damaged: {fault}")
            return None

    def refuse(self, reason: str) -> None:
        """Log why the state that is kept is not used, and remove it."""
        logger.warning("The state of a fit in %s is not used, the fit begins anew: %s.", self.file, reason)
        self.forget()

    def due(self, n_bytes: int) -> bool:
        """Tell whether a state of this size should be written now."""
        cost = _FIRST_SECONDS + n_bytes / _FIRST_BYTES_A_SECOND if self._cost is None else self._cost
        worth = time.perf_counter() - self._since >= cost / self.share
        return self._usable and worth and n_bytes <= self.max_gb * 1e9

    def write(self, state: FitState) -> None:
        """Keep a state instead of the one before; where that is not possible, the fit goes on without."""
        started = time.perf_counter()
        header = {"format": FORMAT, "identity": self.identity, "facts": state.facts}
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        part = self.file.with_name(f"{self.file.stem}.{os.getpid()}.tmp")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as out:
                np.savez(out, **{_HEADER: text}, **state.arrays)  # type: ignore[arg-type]
                out.flush()
                os.fsync(out.fileno())
            part.replace(self.file)
            self._make_room()
        except OSError as fault:
            self._usable = False
            with suppress(OSError):
                part.unlink(missing_ok=True)
            logger.warning(
                "The state of a fit cannot be kept in %s (%s): if it is killed, it begins anew.",
                self.file.parent,
                fault,
            )
        self._since = time.perf_counter()
        self._cost = self._since - started

    def forget(self) -> None:
        """Remove the state, and what a killed writer left of it."""
        forget_state(self.file)

    def _make_room(self) -> None:
        kept = []
        for file in self.file.parent.iterdir():
            with suppress(OSError):
                kept.append((file.stat().st_mtime, file.stat().st_size, file))
        total, oldest = sum(size for _, size, _ in kept), time.time() - KEPT_DAYS * 86_400
        for changed, size, file in sorted(kept):
            if file != self.file and (changed < oldest or total > self.max_gb * 1e9):
                with suppress(OSError):
                    file.unlink()
                total -= size


def forget_state(file: Path) -> None:
    """Remove a fit's state, and what a killed writer left of it."""
    for left in file.parent.glob(f"{file.stem}.*"):
        with suppress(OSError):
            left.unlink()
