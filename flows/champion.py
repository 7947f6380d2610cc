"""Shows the registered models that experiments made, and moves the alias `champion` by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.comparison.text import between, number
from tasks.config import InputError
from tasks.dataset.wording import listed
from tasks.tracking.registry import (
    BACKBONES,
    CHAMPION,
    EXPERIMENT_RUN,
    PROMOTION,
    Registry,
    Version,
    find_registry,
)
from tasks.tracking.store import open_client, tracking_uri


@dataclass(frozen=True)
class Standing:
    """A registered model: its versions, where its aliases point, and what was done now.

    Attributes
    ----------
    name : str
        The registered model.
    versions : tuple of Version
        The newest first.
    aliases : dict of str to str
        The number of the version that each points to.
    done : str
        What was changed, in a sentence; empty where nothing was.
    """

    name: str
    versions: tuple[Version, ...]
    aliases: dict[str, str]
    done: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam champion --json`."""
        return {
            "model": self.name,
            "aliases": self.aliases,
            "done": self.done or None,
            "versions": [
                {
                    "version": own.number,
                    "aliases": _aliases_of(self, own),
                    "title": own.tags.get(BACKBONES),
                    "experiment_run_id": own.tags.get(EXPERIMENT_RUN),
                    "created": _date(own).isoformat(),
                    "promotion": promotion_of(own),
                }
                for own in self.versions
            ],
        }


def standing(name: str | None, *, back: bool = False, promote: str | None = None) -> Standing:
    """Give how a registered model stands, after a change by hand where one is asked for.

    Parameters
    ----------
    name : str or None
        The registered model; None: the one that changed last.
    back : bool
        Whether the previous champion comes back.
    promote : str or None
        The number of the version that becomes the champion.

    Raises
    ------
    InputError
        There is no such model or version, nothing to go back to, both are asked for, or the store cannot be used.
    """
    if back and promote is not None:
        raise InputError("--back and --promote each name the champion. Give one of them.")
    registry = find_registry(open_client(tracking_uri()), name)
    done = _gone_back(registry) if back else "" if promote is None else _promoted(registry, promote)
    return Standing(registry.name, tuple(registry.versions()), registry.aliases(), done)


def promotion_of(version: Version) -> dict[str, Any] | None:
    """Give the decision on a version and its numbers; None where it was registered by other means."""
    try:
        found = json.loads(version.tags.get(PROMOTION, "null"))
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def print_standing(found: Standing, console: Console) -> None:
    """Print the versions, and what was done."""
    table = Table(title=Text(f"Versions of {found.name}", style="table.title"), title_justify="left")
    for heading, right in (
        ("version", True),
        ("alias", False),
        ("made of", False),
        ("made", False),
        ("difference", True),
    ):
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for own in found.versions:
        promotion = promotion_of(own) or {}
        table.add_row(
            own.number,
            ", ".join(_aliases_of(found, own)),
            Text(own.tags.get(BACKBONES, "")),
            f"{_date(own):%Y-%m-%d %H:%M}",
            _difference(promotion),
        )
    console.print(table)
    for own in found.versions:
        reason = (promotion_of(own) or {}).get("reason")
        if reason:
            console.print(f"Version {own.number}: {reason}", markup=False, highlight=False)
    if found.done:
        console.print(found.done, markup=False, highlight=False)


def _gone_back(registry: Registry) -> str:
    new, old = registry.back()
    told = "" if old is None else f", and version {old} the previous one"
    return f"Version {new} of {registry.name} is the champion again{told}."


def _promoted(registry: Registry, version: str) -> str:
    known = [own.number for own in registry.versions()]
    if version not in known:
        raise InputError(f"{registry.name} has no version {version!r}. It has: {listed(known, 20) or 'none'}.")
    if registry.aliases().get(CHAMPION) == version:
        return f"Version {version} of {registry.name} is the champion already."
    before = registry.promote(version)
    told = "" if before is None else f", and version {before} the previous one"
    return f"Version {version} of {registry.name} is the champion now{told}."


def _aliases_of(found: Standing, own: Version) -> list[str]:
    return sorted(alias for alias, version in found.aliases.items() if version == own.number)


def _difference(promotion: dict[str, Any]) -> str:
    if promotion.get("difference") is None:
        return ""
    low, high = promotion.get("ci_low"), promotion.get("ci_high")
    return f"{number(promotion['difference'])} ({between(low, high)})"


def _date(own: Version) -> datetime:
    return datetime.fromtimestamp(own.created_ms / 1000, tz=UTC)
