"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The experiment file (YAML).")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as training.epochs=3.")
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Do again what is done already.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
