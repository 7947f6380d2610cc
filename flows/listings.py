"""What the short commands show or write: backbones, the cache, a starter file."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from tasks.backbones import registry
from tasks.config import InputError
from tasks.dataset.sources.detect import starter_file
from tasks.dataset.sources.folder import describe_folder
from tasks.dataset.sources.mirror import clear_mirrors, mirrors
from tasks.dataset.store import cache_home, open_store, remote_home
from tasks.upkeep.found import last_used, size_of


def backbone_rows() -> list[dict[str, Any]]:
    """Give every registered backbone as data."""
    return [
        {
            "name": spec.name,
            "title": spec.title,
            "native_size": spec.native_size,
            "min_size": spec.min_size,
            "weights": list(spec.weight_sources),
            "freeze_points": list(spec.freeze_points),
            "cam_layer": spec.cam_layer,
        }
        for spec in map(registry.get, registry.names())
    ]


def backbone_table() -> Table:
    """Draw every registered backbone."""
    table = Table(title="Backbones", title_justify="left")
    for heading in ("name", "what it is", "size (least)", "weights", "freeze points", "Grad-CAM layer"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "name")
    for row in backbone_rows():
        size = f"{row['native_size']} ({row['min_size']})"
        weights, points = ", ".join(row["weights"]), ", ".join(row["freeze_points"])
        table.add_row(row["name"], row["title"], size, weights, points, row["cam_layer"])
    return table


PARTS = {"plans": "tables of plans", "artifacts": "copies of artifacts", "manifests": "known images", "fits": "fits"}
"""Folders of the cache beside those of arrays and of what was fetched, and what lies in them."""


def cache_rows() -> dict[str, Any]:
    """Give what the cache holds: its folder, and each array, mirror of an address, table, copy and fit in it.

    Each has a size and a last use.
    """
    home = cache_home()
    fetched = [
        {"what": "fetched", "bytes": one["bytes"], "last_used": one["last_used"], "key": {"address": one["address"]}}
        for one in mirrors(remote_home())
    ]
    others = [_part(what, path) for part, what in PARTS.items() for path in sorted((home / part).glob("*"))]
    entries = [*open_store().entries(), *fetched, *others]
    return {"folder": str(home), "bytes": sum(entry["bytes"] for entry in entries), "entries": entries}


def _part(what: str, path: Path) -> dict[str, Any]:
    when = datetime.fromtimestamp(last_used(path), UTC).isoformat(timespec="seconds")
    return {"what": what, "bytes": size_of(path), "last_used": when, "key": {"name": path.name}}


def cache_table() -> Table:
    """Draw what the cache holds."""
    held = cache_rows()
    table = Table(title=f"{held['folder']}: {held['bytes'] / 1e6:,.1f} MB", title_justify="left")
    for heading in ("what", "MB", "last used", "of"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", overflow="fold")
    for entry in held["entries"]:
        about = ", ".join(
            value if key == "address" else f"{key} {str(value)[:20]}"
            for key, value in entry["key"].items()
            if key != "what"
        )
        table.add_row(entry["what"], f"{entry['bytes'] / 1e6:,.1f}", entry["last_used"], about)
    return table


def clear_cache() -> int:
    """Delete what foldcam keeps to save work, and what it fetched; give the bytes freed."""
    home = cache_home()
    freed = open_store().clear() + clear_mirrors(remote_home())
    for part in PARTS:
        freed += size_of(home / part)
        shutil.rmtree(home / part, ignore_errors=True)
    return freed


def write_starter(folder: Path, out: Path, name: str | None) -> str:
    """Write a commented experiment file for a folder of images; give what to do next.

    Raises
    ------
    InputError
        The folder holds no images, or the file is there already or cannot be written.
    """
    try:
        if out.exists():
            raise InputError(f"{out} is there already and is left as it is. Name another file with --out.")
        if not out.absolute().parent.is_dir():
            raise InputError(f"{out} cannot be written: its folder {out.parent} is not there.")
        summary = describe_folder(Path(os.path.realpath(folder)))
        text = starter_file(summary, name=name or Path(os.path.realpath(folder)).name)
        part = out.with_name(f".{out.name}.part")
        part.write_text(text, encoding="utf-8")
        part.rename(out)
    except OSError as fault:
        raise InputError(f"{out} cannot be written: {fault.strerror}.") from None
    classes = ", ".join(f"{label} ({count})" for label, count in summary.classes.items())
    return (
        f"{out}: {summary.n_images} images, {classes or 'labels by rules that are yours to write'}. "
        f"Next: foldcam check {out}"
    )
