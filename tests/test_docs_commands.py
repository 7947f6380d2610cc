"""Every command of foldcam's that the documents show is there, with the options that they give it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

from flows.cli import app
from flows.shipped import shipped

HERE = Path(__file__).parents[1]
PAGES = sorted([*HERE.glob("*.md"), *HERE.glob("docs/*.md"), *HERE.glob("infra/*.md"), *HERE.glob("mlflow/*.md")])

COMMANDS = typer.main.get_command(app)
NOTICES = {yaml.safe_load(file.read_text(encoding="utf-8"))["name"] for file in shipped("notices").glob("*.yaml")}
"""Names of notices begin as commands do."""

_BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```", re.M | re.S)
_SPAN = re.compile(r"`([^`]+)`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def shown(text: str) -> list[str]:
    """Give the commands that a page shows, in its blocks and in its lines, without remarks."""
    blocks = [line for block in _BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    spans = [" ".join(span.split()) for span in _SPAN.findall(_BLOCK.sub("", text))]
    found = (re.match(r"(?:\$ )?(?:\.venv/bin/)?foldcam +(.+)", line.strip()) for line in [*blocks, *spans])
    commands = [re.split(r" {2,}| # | [&|] ", match[1])[0].strip() for match in found if match]
    return [command for command in commands if f"foldcam {command}" not in NOTICES]


def fault_of(command: str) -> str:
    """Give what is wrong with a command; an empty text where nothing is."""
    words, own = command.split(), COMMANDS
    while hasattr(own, "commands"):
        if not words or not re.fullmatch(r"[a-z]+,?", words[0]):
            return ""  # what is said of the command as a whole
        name = words.pop(0).rstrip(",")
        if name not in own.commands:
            return f"there is no command {name}"
        own = own.commands[name]
    known = {option for parameter in own.params for option in parameter.opts} | {"--help"}
    return ", ".join(sorted(set(_OPTION.findall(" ".join(words))) - known))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HERE)))
def test_what_is_shown_can_be_called(page):
    assert [
        (command, fault) for command in shown(page.read_text(encoding="utf-8")) if (fault := fault_of(command))
    ] == []


def test_what_is_not_there_is_found():
    block = "$ foldcam run x.yaml --fresh --twice    a remark --gone\nfoldcam users ls --json # --no\n"
    page = f"`foldcam runs x`\n\n```\n{block}```\n"
    assert [fault_of(command) for command in shown(page)] == ["--twice", "", "there is no command runs"]
