"""YAML without what an experiment file has no use for: objects, aliases, a key twice, numbers beyond all bounds."""

from __future__ import annotations

from typing import Any

import yaml

_MOST_BITS = 64


class NotPlainYaml(ValueError):
    """A text is not plain YAML; the message goes on from "the text is"."""


def load_yaml(text: str) -> Any:
    """Return what a text holds.

    Raises
    ------
    NotPlainYaml
        With the line and the column where it can be told.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as fault:
        raise NotPlainYaml(f"not valid YAML: {_problem(fault)}") from None
    except RecursionError:
        raise NotPlainYaml("nested too deeply to be read") from None


class _Loader(yaml.SafeLoader):
    """Plain YAML: no Python objects, no aliases (which can unfold to gigabytes), no key twice."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError):  # what PyYAML lets through of dates and numbers that are none
            raise _wrong(node, "this looks like a date or a number and is none (a text goes in quotes)") from None
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise _wrong(node, "this number is too large (a text goes in quotes)")
        return value

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not used here; write it out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(key, "a key must be plain text")
            if key.value in seen:
                raise _wrong(key, f"the key `{key.value}` is there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _wrong(node: yaml.Node, what: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


def _problem(fault: yaml.YAMLError) -> str:
    problem = getattr(fault, "problem", None) or str(fault)
    mark = getattr(fault, "problem_mark", None)
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{' '.join(str(problem).split())}{place}"
