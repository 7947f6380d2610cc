"""What became of an experiment's best model in the registry, and how that is read back from the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tasks.comparison.backbone import Fetch
from tasks.comparison.champion.promotion import Promotion

PROMOTION_FILE = "promotion.json"
"""The experiment's artifact with the decision and its numbers."""


@dataclass(frozen=True)
class Crowned:
    """What became of the best model.

    Attributes
    ----------
    model, version : str or None
        The registered model and the number of its version; None where nothing was registered.
    is_champion : bool
        Whether the alias `champion` points to it now.
    previous : str or None
        The version that the alias pointed to before.
    title : str
        What the model is made of.
    reused : bool
        Whether the version was there already.
    promotion : Promotion
        The decision and its grounds.
    failed : bool
        Whether registering it went wrong, so that the next run tries again.
    """

    model: str | None
    version: str | None
    is_champion: bool
    previous: str | None
    title: str
    reused: bool
    promotion: Promotion
    failed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object that is logged and printed."""
        return asdict(self) | {"told": self.told}

    @property
    def told(self) -> str:
        """What happened, in a sentence or two."""
        if self.version is None:
            return self.promotion.reason
        place = "is the champion" if self.is_champion else "is registered, and the champion stays"
        return f"{self.model} version {self.version} ({self.title}) {place}. {self.promotion.reason}"


def crowned_of(run_id: str, fetch: Fetch) -> Mapping[str, Any]:
    """Read what an experiment's run says of it, as `Crowned.to_json` gave it; empty where it says nothing."""
    try:
        found: dict[str, Any] = json.loads(fetch(run_id, PROMOTION_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def told_of(crowned: Mapping[str, Any]) -> tuple[str, ...]:
    """Give what is told of it, in sentences; none where there is nothing."""
    return (str(crowned["told"]),) if crowned else ()
