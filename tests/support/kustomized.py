"""Kubernetes' manifests as kustomize puts them together, as far as infra/kubernetes needs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

BY_NAME = {"containers", "volumes", "env"}
"""Lists that a patch merges by the name of their entries; it replaces the others."""


def documents(file: Path) -> list[Manifest]:
    """Give the documents of a YAML file."""
    return [found for found in yaml.safe_load_all(file.read_text(encoding="utf-8")) if found]


def kustomized(folder: Path) -> list[Manifest]:
    """Give the manifests of a kustomization."""
    settings = documents(folder / "kustomization.yaml")[0]
    found: list[Manifest] = []
    for name in settings["resources"]:
        place = folder / name
        found += kustomized(place) if place.is_dir() else documents(place)
    for patch in settings.get("patches", []):
        for change in documents(folder / patch["path"]):
            at = next(number for number, own in enumerate(found) if _key(own) == _key(change))
            found[at] = merged(found[at], change)
    for own in found:
        if own["kind"] != "Namespace":
            own["metadata"]["namespace"] = settings["namespace"]
        for label in settings.get("labels", []):
            own["metadata"].setdefault("labels", {}).update(label["pairs"])
    return found


def merged(own: Any, change: Any, under: str = "") -> Any:
    """Give a value with a strategic merge patch laid over it."""
    if isinstance(own, dict) and isinstance(change, dict):
        return own | {name: merged(own.get(name), below, name) for name, below in change.items()}
    if isinstance(own, list) and under in BY_NAME:
        changes = {entry["name"]: entry for entry in change}
        kept = [merged(entry, changes.pop(entry["name"], {})) for entry in own]
        return [*kept, *changes.values()]
    return change


@dataclass(frozen=True)
class Pod:
    """What runs: a workload's name, and its pod's labels and specification."""

    workload: Manifest
    labels: dict[str, str]
    spec: Manifest

    @property
    def name(self) -> str:
        return str(self.labels["app.kubernetes.io/name"])

    @property
    def container(self) -> Manifest:
        (only,) = self.spec["containers"]
        return dict(only)

    def fits(self, selector: dict[str, str]) -> bool:
        return bool(selector) and selector.items() <= self.labels.items()

    def environment(self, settings: dict[str, str], secrets: dict[str, str]) -> dict[str, str]:
        """Give the variables that the container sees, `$(NAME)` filled in."""
        seen: dict[str, str] = {}
        for entry in self.container.get("env", []):
            source = entry.get("valueFrom", {})
            if "secretKeyRef" in source:
                seen[entry["name"]] = secrets[source["secretKeyRef"]["key"]]
            elif "configMapKeyRef" in source:
                seen[entry["name"]] = settings[source["configMapKeyRef"]["key"]]
            else:
                seen[entry["name"]] = expanded(entry["value"], seen)
        return seen


def expanded(text: str, seen: dict[str, str]) -> str:
    """Fill `$(NAME)` in from the variables before."""
    for name, value in seen.items():
        text = text.replace(f"$({name})", value)
    return text


def pods(manifests: list[Manifest]) -> Iterator[Pod]:
    """Give the pods of all workloads."""
    for own in manifests:
        spec = own.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield Pod(own, template["metadata"]["labels"], template["spec"])


def _key(own: Manifest) -> tuple[str, str]:
    return own["kind"], own["metadata"]["name"]
