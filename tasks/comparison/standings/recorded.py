"""What the record of an experiment says of how its backbones stand to each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.comparison.backbone import Fetch

COMPARISON = "comparison.json"
"""The experiment's artifact that holds scores, differences, letters and what they come to in words."""

NOT_COMPARED = (
    "These are means over folds alone: the record does not say which differences are more than chance, because it is "
    "of an older version or its artifacts are gone. `foldcam run FILE` compares anew."
)


def comparison_of(run_id: str, fetch: Fetch) -> dict[str, Any] | None:
    """Give what an experiment's run holds in `comparison.json`; None where it has none.

    Parameters
    ----------
    run_id : str
        The experiment's run.
    fetch : callable
        Gives the local path of a run's artifact; FileNotFoundError where a remote store has no such artifact.
    """
    try:
        found: dict[str, Any] = json.loads(fetch(run_id, COMPARISON).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def letters_of(comparison: Mapping[str, Any] | None) -> dict[str, str]:
    """Give each backbone's letters, which it shares with those that it cannot be told apart from; empty without."""
    return dict(comparison["letters"]) if comparison else {}


def verdict_of(comparison: Mapping[str, Any] | None) -> list[str]:
    """Give the sentences that stand under a ranking, so that nobody reads a mean as a fact; empty without."""
    if not comparison:
        return []
    shared = ["Backbones that share a letter cannot be told apart."] if len(comparison["letters"]) > 2 else []
    return [*comparison["verdict"], *shared]
