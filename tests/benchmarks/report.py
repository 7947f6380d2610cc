"""The suite's results as JSON, as a table on the screen, and as a table for the documentation."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PACKAGES = ("foldcam", "tensorflow-cpu", "tensorflow", "keras", "prefect", "mlflow", "numpy", "scikit-learn", "pillow")
VERDICTS = {True: "holds", False: "MISSED"}
SIGN = {
    **dict.fromkeys(("faster", "throughput"), "≥ {:g} ×"),
    **dict.fromkeys(("slower", "share"), "≤ {:g} ×"),
    **dict.fromkeys(("more", "at most"), "≤ {:g}"),
}


def machine() -> dict[str, Any]:
    """Say what was measured on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores,
        "cpu": _cpu(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_at_start": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "versions": versions,
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def lines(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Give the table's lines: row, ours, theirs, value, goal, verdict; a row that failed says why."""
    out: list[tuple[str, ...]] = []
    for name, found in results["rows"].items():
        if found["status"] != "measured":
            out.append((f"`{name}`", "", "", "", "", f"{found['status']}: {found['reason']}"))
            continue
        for part in found["parts"]:
            label = f"`{name}` {part['name']}".rstrip()
            unit = part["unit"]
            theirs = "" if part["theirs_median"] is None else f"{_number(part['theirs_median'])} {unit}"
            times = " ×" if "×" in SIGN[part["kind"]] else f" {unit}"
            goal = SIGN[part["kind"]].format(part["goal"]) + ("" if "×" in times else times)
            ours = f"{_number(part['ours_median'])} {unit}"
            out.append((label, ours, theirs, _number(part["value"]) + times, goal, VERDICTS[part["holds"]]))
    return out


HEADINGS = ("row", "foldcam", "against", "comes to", "goal", "")


def print_table(results: Mapping[str, Any], console: Console) -> None:
    title = "Tiny settings: these figures mean nothing" if results["quick"] else None
    table = Table(*HEADINGS, title=title)
    for line in lines(results):
        style = "red" if line[-1] != VERDICTS[True] else None
        table.add_row(*(cell.replace("`", "").replace("[", "\\[") for cell in line), style=style)
    console.print(table)


def markdown(results: Mapping[str, Any]) -> str:
    """Give the table, what each row compares, and the machine, in Markdown."""
    on = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items())
    rows = ["| " + " | ".join(cells) + " |" for cells in [HEADINGS, ("---",) * len(HEADINGS), *lines(results)]]
    said = [
        f"- `{name}` ({found['clock']}): {found['ours']} — against: {found['theirs']}"
        + (f". Agreement: {found['agreement']}." if found.get("agreement") else ".")
        for name, found in results["rows"].items()
    ]
    about = f"Measured on {on['cores']} cores ({on['cpu']}), Python {on['python']}, {versions}; "
    about += f"medians of {results['repeats']}, {results['seconds'] / 60:.0f} minutes in all."
    return "\n".join([about, "", *rows, "", *said, ""])


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
