"""The commands `foldcam cache`."""

from __future__ import annotations

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json, say

cache_app = typer.Typer(help="What foldcam keeps to save work: list it or clear it.", no_args_is_help=True)


@cache_app.command("ls")
def cache_ls(as_json: JsonOption = False) -> None:
    """List what is kept."""
    from flows.listings import cache_rows, cache_table

    if as_json:
        print_json(cache_rows())
    else:
        console().print(cache_table())


@cache_app.command("clear")
def cache_clear(as_json: JsonOption = False) -> None:
    """Delete all of it; it is made again when needed."""
    from flows.listings import clear_cache

    freed = clear_cache()
    if as_json:
        print_json({"freed_bytes": freed})
    else:
        say(f"Freed {freed / 1e6:,.1f} MB.")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(cache_app, name="cache")
