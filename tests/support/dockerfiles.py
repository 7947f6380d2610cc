"""Reading Dockerfiles: their stages, and what an image would start with."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next: `base` is an image or another stage, `steps` are (instruction, text)."""

    name: str
    base: str
    steps: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Image:
    """What stands in a Dockerfile's target and in the stages below it, the lowest first."""

    base: str
    stages: tuple[Stage, ...]

    def steps(self, word: str) -> Iterator[str]:
        for stage in self.stages:
            yield from (text for found, text in stage.steps if found == word)

    def last(self, word: str, otherwise: str = "") -> str:
        return ([*self.steps(word)] or [otherwise])[-1]

    @property
    def environment(self) -> dict[str, str]:
        """The ENV steps, in order; $PATH stays for who runs it."""
        return dict(part.split("=", 1) for text in self.steps("ENV") for part in shlex.split(text))

    @property
    def copies(self) -> dict[str, Path]:
        """By path in the image, the file of this repository that is copied there; not what other stages give."""
        return {
            f"{to}{Path(source).name}" if to.endswith("/") else to: HERE / source
            for sources, to in _copied(self.steps("COPY"))
            for source in sources
        }

    @property
    def start(self) -> tuple[list[str], list[str]]:
        """ENTRYPOINT and CMD."""
        return json.loads(self.last("ENTRYPOINT", "[]")), json.loads(self.last("CMD", "[]"))


def stages(file: Path) -> dict[str, Stage]:
    """Give a Dockerfile's stages by name."""
    found: dict[str, Stage] = {}
    lines = "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        word, _, text = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = text.partition(" AS ")
            assert name, f"{file.name}: a stage without a name: {line}"
            found[name] = Stage(name, base, ())
        elif word:
            name, stage = [*found.items()][-1]
            found[name] = Stage(name, stage.base, (*stage.steps, (word, re.sub(r"\s+", " ", text.strip()))))
    return found


def image(file: Path, target: str) -> Image:
    """Give a target with all that it stands on."""
    every = stages(file)
    chain = [every[target]]
    while chain[0].base in every:
        chain.insert(0, every[chain[0].base])
    return Image(chain[0].base, tuple(chain))


def _copied(texts: Iterator[str]) -> Iterator[tuple[list[str], str]]:
    for text in texts:
        words = shlex.split(text)
        if not any(word.startswith("--from=") for word in words):
            *sources, to = [word for word in words if not word.startswith("--")]
            yield sources, to
