"""The file of deployments: what it holds, and which of that is to be applied."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml

from tasks.config import InputError

Kind = Literal["process", "docker", "kubernetes"]

RULES = ("cron", "interval", "rrule")
"""What a schedule in the file goes by, one of these."""

_VARIABLE = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")


def entries_of(file: Path) -> list[dict[str, Any]]:
    """Give the deployments of a file.

    Raises
    ------
    InputError
        It cannot be read, or is not what Prefect takes.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as fault:
        raise InputError(f"The file of deployments {file} cannot be read: {fault.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise InputError(f"The file of deployments {file} is not YAML: {str(fault).splitlines()[0]}.") from None
    entries: Any = content.get("deployments") if isinstance(content, dict) else None
    good = isinstance(entries, list) and all(
        isinstance(own, dict) and own.get("name") and own.get("entrypoint") and _are_schedules(own.get("schedules"))
        for own in entries
    )
    if not good or not entries:
        raise InputError(
            f"{file} must hold a list `deployments`, each with a `name` and an `entrypoint`, and each of its "
            f"`schedules` with one of {', '.join(RULES)}."
        )
    return list(entries)


def _are_schedules(found: Any) -> bool:
    rules = found or []
    return isinstance(rules, list) and all(isinstance(rule, dict) and rule.keys() & set(RULES) for rule in rules)


def chosen_of(
    entries: list[dict[str, Any]], kind: Kind, only: Sequence[str], variables: Mapping[str, str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Give the deployments to apply, and why others of this kind are left out, by name.

    Raises
    ------
    InputError
        The file has none of a name or kind, or nothing is left to apply.
    """
    suffix = f"-{kind}"
    known = {str(own["name"]): own for own in entries if str(own["name"]).endswith(suffix)}
    names = [name if name.endswith(suffix) else name + suffix for name in only]
    short = [name.removesuffix(suffix) for name in known]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0].removesuffix(suffix)}?" if near else ""
            asked = name.removesuffix(suffix)
            raise InputError(
                f"--only: there is no deployment {asked!r} for {kind}.{hint} There is: {', '.join(short)}."
            )
    missing = {name: _missing(known[name], variables) for name in names or known}
    left_out = {
        name: f"{' and '.join(lacks)} is not set.{_how_to_set(lacks)}" for name, lacks in missing.items() if lacks
    }
    if (names and left_out) or len(left_out) == len(missing):
        if not known:
            raise InputError(f"The file of deployments has none for {kind}: their names end with {suffix}.")
        name, why = next(iter(left_out.items()))
        raise InputError(f"{name} cannot be deployed: {why}")
    return [known[name] for name, lacks in missing.items() if not lacks], left_out


def _missing(entry: dict[str, Any], variables: Mapping[str, str]) -> list[str]:
    return [name for name in dict.fromkeys(_VARIABLE.findall(yaml.safe_dump(entry))) if not variables.get(name)]


def _how_to_set(names: Sequence[str]) -> str:
    if "FOLDCAM_EXPERIMENT" in names:
        return " --experiment FILE names the experiment file that it runs."
    return f" Set it: export {names[0]}=…" if names else ""


def rules_of(entry: Mapping[str, Any]) -> list[str]:
    """Give what a deployment's schedules go by."""
    return [str(rule[key]) for rule in entry.get("schedules") or () for key in RULES if key in rule]
