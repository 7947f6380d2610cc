"""What tests ask of every page of the documentation: that its settings are accepted and its commands understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer
import yaml

from flows.cli import app
from tasks.config import Experiment

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    """Give the text of a page, such as `docs/data.md`."""
    return (ROOT / name).read_text(encoding="utf-8")


def snippets(text: str, language: str = "yaml") -> list[str]:
    """Give the blocks of code of a language, in order; those without one by an empty text."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [code for own, code in blocks if own == language]


def accepted(snippet: str) -> Experiment:
    """Read a snippet of an experiment file as one whose other settings are the defaults."""
    settings = yaml.safe_load(snippet)
    return Experiment.model_validate({"name": "a"} | settings | {"data": {"path": "x"} | settings.get("data", {})})


def commands(text: str) -> list[str]:
    """Give the lines of code that call foldcam, without what stands beside them."""
    code = "\n".join(snippets(text, ""))
    return re.findall(r"^(?:\.venv/bin/)?(foldcam \S.*?)(?: {2,}.*)?$", code, re.MULTILINE)


def understood(line: str) -> dict[str, Any]:
    """Parse a call of foldcam, and give its parameters; nothing is done."""
    group = typer.main.get_group(app)
    name, *arguments = shlex.split(line, comments=True)[1:]
    assert name in group.commands, name
    with group.make_context("foldcam", ["schema"], resilient_parsing=True) as above:
        return dict(group.commands[name].make_context(name, arguments, parent=above).params)
