"""Reading a compose file: `${VARIABLES}` filled in as Docker does, and each service with its image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.dockerfiles import Image, image

VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")


class Unset(Exception):
    """A variable that has to be set is unset or empty."""


@dataclass(frozen=True)
class Service:
    """A service: its settings, filled in, and the image it is built as."""

    name: str
    settings: Mapping[str, Any]
    image: Image

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.settings.get("environment", {}).items()}

    @property
    def arguments(self) -> list[str]:
        """CMD, or what the file puts in its place: an ENTRYPOINT of the file's takes the image's CMD away."""
        return self.settings.get("command", [] if "entrypoint" in self.settings else self.image.start[1])

    @property
    def command(self) -> list[str]:
        """ENTRYPOINT and CMD, the file's before the image's."""
        return [*self.settings.get("entrypoint", self.image.start[0]), *self.arguments]

    @property
    def ports(self) -> list[int]:
        published = [str(text).rsplit(":", 1)[1] for text in self.settings.get("ports", [])]
        return [int(port) for port in (*self.settings.get("expose", []), *published)]

    @property
    def volumes(self) -> dict[str, str]:
        """By path in the container, the volume's name or the path on the machine."""
        return {text.split(":")[1]: text.split(":")[0] for text in self.settings.get("volumes", [])}


def read_env(file: Path) -> dict[str, str]:
    """Give the variables of an .env file."""
    lines = (line.strip() for line in file.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """Fill the variables in, in all texts below a value.

    Raises
    ------
    Unset
        One has to be set and is not.
    """
    if isinstance(value, dict):
        return {key: filled(below, variables) for key, below in value.items()}
    if isinstance(value, list):
        return [filled(below, variables) for below in value]
    return VARIABLE.sub(lambda found: _one(found, variables), value) if isinstance(value, str) else value


def read_compose(file: Path, variables: Mapping[str, str]) -> dict[str, Service]:
    """Give a compose file's services by name."""
    content = filled(yaml.safe_load(file.read_text()), variables)
    return {name: Service(name, settings, _image(file, settings)) for name, settings in content["services"].items()}


def _image(file: Path, settings: Mapping[str, Any]) -> Image:
    build = settings["build"]
    return image((file.parent / build["context"] / build["dockerfile"]).resolve(), build["target"])


def _one(found: re.Match[str], variables: Mapping[str, str]) -> str:
    value = variables.get(found["name"], "")
    if not value and found["kind"] == "?":
        raise Unset(f"{found['name']}: {found['text']}")
    return value or (found["text"] if found["kind"] == "-" else "")
