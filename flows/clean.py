"""What `foldcam clean` does: find what may go, show it, remove it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tasks.config import InputError
from tasks.dataset.store import cache_home
from tasks.dataset.wording import counted
from tasks.tracking.cleaning.needed import needed_runs
from tasks.tracking.cleaning.removal import Removal
from tasks.tracking.cleaning.rules import Rules, Unit, judge
from tasks.tracking.cleaning.trees import read_trees
from tasks.tracking.refusals import without_sign_in
from tasks.tracking.store import tracking_uri
from tasks.upkeep.found import Left
from tasks.upkeep.leftovers import leftovers
from tasks.upkeep.unused import unused
from tasks.workers.claims import claimed, experiment_key

DAY = 24 * 3600
CACHE_DAYS = 30
"""How long what lies in the cache must have been unused to go, where no age is given."""


@dataclass(frozen=True)
class Cleaning:
    """What was found, and what goes.

    Attributes
    ----------
    uri : str
        The store's address.
    rules : Rules
        What was asked for.
    units : list of Unit
        Runs, the newest first, with what keeps them.
    sizes : dict of str to int or None
        Bytes of what goes, by the id of the uppermost run; None where the store is elsewhere.
    files : list of Left
        What lies in foldcam's own folders, with what keeps it.
    removal : Removal
        Removes runs.
    """

    uri: str
    rules: Rules
    units: list[Unit]
    sizes: dict[str, int | None]
    files: list[Left]
    removal: Removal

    @property
    def going(self) -> list[Unit]:
        """The runs that go, or lose their networks."""
        return [unit for unit in self.units if not unit.why_kept]

    @property
    def leaving(self) -> list[Left]:
        """The files that go."""
        return [left for left in self.files if not left.why_kept]

    @property
    def frees(self) -> int:
        """How many bytes are freed on this machine."""
        runs = sum(size or 0 for size in self.sizes.values()) if self.removal.frees_space else 0
        return runs + sum(left.size for left in self.leaving)

    def to_json(self, *, removed: bool) -> dict[str, Any]:
        """Give all of it as JSON has it."""
        return {
            "store": without_sign_in(self.uri),
            "removed": removed,
            "models_only": self.rules.models,
            "in_bin": bool(self.going) and not self.removal.frees_space,
            "freed_bytes" if removed else "frees_bytes": self.frees,
            "runs": [self._run(unit) for unit in self.units],
            "files": [
                {
                    "what": left.what,
                    "path": str(left.path),
                    "bytes": left.size,
                    "goes": not left.why_kept,
                    "why_kept": left.why_kept,
                }
                for left in self.files
            ],
        }

    def _run(self, unit: Unit) -> dict[str, Any]:
        return {
            "experiment": unit.tree.experiment,
            "run_id": unit.top.run_id,
            "name": unit.top.name,
            "level": unit.top.level,
            "status": unit.top.status,
            "runs": len(unit.runs),
            "ended": unit.ended,
            "bytes": self.sizes.get(unit.top.run_id),
            "goes": not unit.why_kept,
            "why_kept": unit.why_kept,
        }


def look(rules: Rules, names: Sequence[str], *, cache: bool) -> Cleaning:
    """Find what goes by the rules and what stays; nothing is removed.

    Parameters
    ----------
    rules
        Which runs are to go.
    names
        Only runs of the experiments of these names; none: of all.
    cache
        Whether what has long not been used in the cache is to go.

    Raises
    ------
    InputError
        The store cannot be used, or has no experiment of a name.
    """
    uri, home = tracking_uri(), cache_home()
    removal = Removal(uri)
    going, units = _units(removal.client, rules, names) if rules.chooses_runs else ([], [])
    sizes = {unit.top.run_id: removal.size_of(unit, models_only=rules.models) for unit in going}
    age = CACHE_DAYS * DAY if rules.older_than_ms is None else rules.older_than_ms / 1000
    files = leftovers(home, removal.is_completed)
    known = {left.path for left in files}
    files += [left for left in (unused(home, time.time(), age) if cache else []) if left.path not in known]
    return Cleaning(uri, rules, units, sizes, files, removal)


def remove(found: Cleaning, tell: Callable[[str], None]) -> None:
    """Remove what goes; while that lasts, experiments of these names wait before they begin.

    What must stay by now, because it was needed since `look`, stays.

    Raises
    ------
    InputError
        The store refuses it, or an experiment of a name runs.
    """
    for name in dict.fromkeys(unit.tree.experiment for unit in found.going):
        with _claimed_name(found.uri, name):
            now_going = {unit.top.run_id for unit in _units(found.removal.client, found.rules, [name])[0]}
            for unit in found.going:
                if unit.tree.experiment != name:
                    continue
                if unit.top.run_id not in now_going:
                    tell(f"{name}: {unit.top.name} is needed by now and stays")
                    continue
                tell(f"{name}: removing {'the networks of ' if found.rules.models else ''}{unit.top.name}")
                (found.removal.remove_models if found.rules.models else found.removal.remove)(unit)
            found.removal.finish(name)
    for left in found.leaving:
        left.go()


@contextmanager
def _claimed_name(uri: str, name: str) -> Iterator[None]:
    began: list[str] = []
    with claimed(cache_home(), *experiment_key(uri, name), waits=began.append, stopped=lambda: bool(began)):
        if began:
            raise InputError(
                f"An experiment called {name} runs now ({began[0]}), and may be about to reuse what was to go. Nothing "
                "more was removed; call again when it has ended."
            )
        yield


def _units(client: Any, rules: Rules, names: Sequence[str]) -> tuple[list[Unit], list[Unit]]:
    """Give the runs that go, and all that were judged."""
    now = round(time.time() * 1000)
    trees = read_trees(client, names)
    units = judge(trees, rules, now, needed_runs(client, trees, rules, now))
    return [unit for unit in units if not unit.why_kept], units


def summary(found: Cleaning, *, removed: bool) -> str:
    """Give in one sentence or two what goes or went."""
    verb = "Removed" if removed else "To go"
    runs = sum(len(unit.runs) for unit in found.going)
    what = f"the networks of {counted(runs, 'run')}" if found.rules.models else counted(runs, "run")
    size = f"{found.frees / 1e6:,.1f} MB"
    parts = [what] if found.going else []
    parts += [counted(len(found.leaving), "file or folder", "files and folders")] if found.leaving else []
    if not parts:
        return "There is nothing to remove."
    said = f"{verb}: {' and '.join(parts)}, {size} on this machine."
    if found.going and not found.removal.frees_space:
        said += (
            " The runs are in the bin of MLflow's server, where they can be restored; their space is freed when "
            "whoever runs the server calls `mlflow gc`."
        )
    return said
