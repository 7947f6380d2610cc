"""The commands `foldcam cache`."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

cache_app = typer.Typer(help="What foldcam keeps to save work: list it or clear it.", no_args_is_help=True)


@cache_app.command("ls")
def cache_ls(as_json: JsonOption = False) -> None:
    """List what is kept."""
    from rich.console import Console

    from flows.listings import cache_rows, cache_table

    if as_json:
        _print_json(cache_rows())
    else:
        Console().print(cache_table())


@cache_app.command("clear")
def cache_clear(as_json: JsonOption = False) -> None:
    """Delete all of it; it is made again when needed."""
    from flows.listings import clear_cache

    freed = clear_cache()
    if as_json:
        _print_json({"freed_bytes": freed})
    else:
        sys.stdout.write(f"Freed {freed / 1e6:,.1f} MB.\n")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(cache_app, name="cache")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
