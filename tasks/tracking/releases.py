"""Finds what other versions of foldcam have recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from importlib.metadata import version

from mlflow import MlflowClient
from mlflow.entities import ViewType

VERSION = "foldcam.version"
"""Tag of every run: the version that made it."""


def other_versions(client: MlflowClient, experiment_id: str, backbones: Collection[str]) -> dict[str, int]:
    """Count the completed fold runs of these backbones that other versions of foldcam have made, by version.

    They are in the record and in the comparison of their own experiment run, and are not reused: a version is part of
    what decides a result.
    """
    wanted = "tags.`foldcam.level` = 'fold' and tags.`foldcam.status` = 'completed'"
    others = f"{wanted} and tags.`{VERSION}` != '{version('foldcam')}'"
    found = client.search_runs([experiment_id], others, run_view_type=ViewType.ACTIVE_ONLY, max_results=1000)
    counts = Counter(run.data.tags[VERSION] for run in found if run.data.tags.get("foldcam.backbone") in backbones)
    return dict(sorted(counts.items()))
