"""The command of the suite: `python -m tests.benchmarks.run [ROW …]`.

Exit code 0 where every row was measured, whether its goal holds or not; 1 where one could not be measured or the two
sides' results disagree; 2 for an unknown row.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any

import typer
from rich.console import Console

from tests.benchmarks import auditing, calling, explaining, gradcam, keeping, machine, orchestration, sweeps, using
from tests.benchmarks.bench import Bench, clean_environment
from tests.benchmarks.registry import ROWS, Disagree, NotRun, Row
from tests.benchmarks.report import machine as about_machine
from tests.benchmarks.report import markdown, print_table

FAMILIES = (calling, sweeps, gradcam, explaining, orchestration, machine, keeping, auditing, using)
"""The modules whose rows the suite has; importing one registers its rows."""

ORDER = (
    "sweep_frozen",
    "sweep_last_block",
    "sweep_five",
    "gradcam",
    "gradcam_floor",
    "gradcam_peers",
    "gradcam_cached",
    "explaining",
    "explaining_measures",
    "overhead",
    "workers",
    "memory",
    "resume",
    "fit_states",
    "logging",
    "server_calls",
    "audit_memory",
    "audit_again",
    "lookalikes",
    "predicting_memory",
    "serving",
    "help",
)
"""The rows as they are listed."""

FILE = Path("benchmarks.json")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    rows: Annotated[list[str] | None, typer.Argument(metavar="[ROW]…", help="Only these rows; default: all.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each side is measured.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny settings: does everything run?")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the last results; measure nothing.")] = False,
) -> None:
    """Measure foldcam against plain programs that give the same results."""
    console = Console(stderr=True)
    if as_markdown:
        sys.stdout.write(markdown(json.loads(FILE.read_text(encoding="utf-8"))))
        return
    if unknown := sorted(set(rows or ()) - set(ROWS)):
        console.print(f"There is no row {', '.join(unknown)}. The rows are: {', '.join(ORDER)}.")
        raise typer.Exit(2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = suite([ROWS[name] for name in ORDER if not rows or name in rows], repeats, quick, console)
    FILE.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print_table(results, console)
    raise typer.Exit(exit_code(results))


def exit_code(results: dict[str, Any]) -> int:
    """Give 1 where a row could not be measured; a missed goal, or an optional row that was not run, is no fault."""
    return int(any(found["status"] in ("failed", "disagrees") for found in results["rows"].values()))


def suite(rows: list[Row], repeats: int, quick: bool, console: Console) -> dict[str, Any]:
    """Measure the rows: those that keep to one core side by side, then the others one by one."""
    results: dict[str, Any] = {"machine": about_machine(), "repeats": repeats, "quick": quick, "rows": {}}
    started = time.monotonic()
    shared = Path(tempfile.mkdtemp(prefix="foldcam-bench-"))
    cores: SimpleQueue[int | None] = SimpleQueue()
    for core in _cores():
        cores.put(core)

    def one(row: Row, core: int | None) -> dict[str, Any]:
        found = measured(row, Bench(repeats, quick, shared, core))
        console.print(
            f"{row.name}: {found['status']}, {found['seconds']:.0f} s {found.get('reason', '')}", markup=False
        )
        return found

    def on_a_core(row: Row) -> dict[str, Any]:
        core = cores.get()
        try:
            return one(row, core)
        finally:
            cores.put(core)

    try:
        with clean_environment():
            with ThreadPoolExecutor(cores.qsize()) as lanes:
                single = {row.name: lanes.submit(on_a_core, row) for row in rows if not row.alone}
            found = {name: future.result() for name, future in single.items()}
            found |= {row.name: one(row, None) for row in rows if row.alone}
    finally:
        shutil.rmtree(shared, ignore_errors=True)
    results["rows"] = {row.name: found[row.name] for row in rows}
    results["seconds"] = time.monotonic() - started
    return results


def measured(row: Row, bench: Bench) -> dict[str, Any]:
    """Measure one row; whatever goes wrong becomes its status and reason."""
    started = time.monotonic()
    found: dict[str, Any] = {"ours": row.ours, "theirs": row.theirs, "clock": row.clock}
    try:
        outcome = row.measure(bench)
    except Disagree as fault:
        found |= {"status": "disagrees", "reason": str(fault)}
    except NotRun as fault:
        found |= {"status": "not run" if row.optional else "failed", "reason": str(fault)}
    except Exception as fault:
        found |= {"status": "failed", "reason": f"{type(fault).__name__}: {fault}"}
    else:
        found |= {
            "status": "measured",
            "holds": all(part.holds for part in outcome.parts),
            "parts": [part.to_json() for part in outcome.parts],
            "agreement": outcome.agreement,
            "beside": outcome.beside,
        }
    return found | {"seconds": time.monotonic() - started}


def _cores() -> list[int | None]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return [None]


if __name__ == "__main__":
    app()
