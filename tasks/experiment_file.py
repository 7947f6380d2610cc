"""Reads an experiment file; whatever is wrong with it is said in one paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tasks.config import Experiment, InputError, merged, normalised_backbones
from tasks.data_forms import SECRET
from tasks.dataset.sources.faces import write_faces
from tasks.dataset.store import cache_home

BUILTIN = "builtin:"
"""Marks a data path as one of the sets that foldcam can write out itself."""

ARCHIVES = ("zip://", "tar://")
"""Addresses of what lies in a file; `zip://file.zip` is short for `zip://::file.zip`."""

LARGEST_FILE = 1_000_000
"""Bytes; an experiment file is a page or two."""


def read_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Give the experiment that a YAML file describes.

    Parameters
    ----------
    path : Path
        The file. Paths in it are relative to its folder.
    overrides : sequence of str
        `KEY=VALUE` each, such as `training.epochs=3`; values are read as YAML.

    Raises
    ------
    InputError
        The file is not there or not YAML, a key is unknown, a value is not allowed.
    """
    content = _content(path)
    if "backbones" in content:
        content["backbones"] = _backbones(path, content["backbones"])
    for text in overrides:
        content = _overridden(content, text)
    try:
        experiment = Experiment.model_validate(content)
    except ValidationError as fault:
        raise InputError(_explained(path, fault, overrides)) from None
    return _with_full_paths(experiment, path.resolve().parent)


def _content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path()
        near = get_close_matches(path.name, [entry.name for entry in folder.iterdir()], n=1)
        hint = f" Is {folder / near[0]} meant?" if near else " `foldcam init` writes one for a folder of images."
        what = "is a folder, not a file" if path.is_dir() else "is not there"
        raise InputError(f"The experiment file {path} {what}.{hint}")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"The experiment file {path} has over {LARGEST_FILE:,} bytes; is it really one?")
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)
    except OSError as fault:
        raise InputError(f"The experiment file {path} could not be read: {fault.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"The experiment file {path} is not UTF-8 text; save it as UTF-8.") from None
    except RecursionError:
        raise InputError(f"The experiment file {path} is nested too deeply to be read.") from None
    except yaml.YAMLError as fault:
        raise InputError(f"The experiment file {path} is not valid YAML: {_yaml_problem(fault)}.") from None
    if not isinstance(content, dict):
        raise InputError(f"The experiment file {path} must hold keys with values, such as `name: my-experiment`.")
    return content


class _Loader(yaml.SafeLoader):
    """Plain YAML: no Python objects, no aliases (which can unfold to gigabytes), no key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not used here; write it out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key.start_mark)
            if key.value in seen:
                twice = f"the key `{key.value}` is there twice"
                raise yaml.constructor.ConstructorError(None, None, twice, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _yaml_problem(fault: yaml.YAMLError) -> str:
    problem = getattr(fault, "problem", None) or str(fault)
    mark = getattr(fault, "problem_mark", None)
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{' '.join(str(problem).split())}{place}"


def _backbones(path: Path, value: Any) -> Any:
    try:
        return normalised_backbones(value)
    except ValueError as fault:
        raise InputError(f"{path}: backbones: {fault}.") from None


def _overridden(content: dict[str, Any], text: str) -> dict[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise InputError(f"--set {text}: wanted KEY=VALUE, such as --set training.epochs=3.")
    try:
        given = yaml.load(value, Loader=_Loader) if value.strip() else None
    except yaml.YAMLError as fault:
        raise InputError(f"--set {text}: the value is not valid YAML: {_yaml_problem(fault)}.") from None
    parts = key.strip().split(".")
    if parts == ["backbones"]:
        return content | {"backbones": _backbones(Path("--set"), given)}
    for part in reversed(parts[1:]):
        given = {part: given}
    return merged(content, {parts[0]: given})


def _explained(path: Path, fault: ValidationError, overrides: Sequence[str]) -> str:
    problems = fault.errors()
    first = _problem(problems[0])
    more = f" ({len(problems) - 1} more of this file's values are wrong too.)" if len(problems) > 1 else ""
    return f"{_place(path, problems[0]['loc'], overrides)}: {first}{more}"


def _place(path: Path, keys: Sequence[int | str], overrides: Sequence[str]) -> str:
    """Give the last override that set what is wrong, or else the file with the line."""
    loc = [str(part) for part in keys]
    for text in reversed(overrides):
        key = text.partition("=")[0].strip()
        parts = key.split(".")
        if loc[: len(parts)] == parts or parts[: len(loc)] == loc:
            return f"--set {key}"
    return f"{path}{_line_of(path, keys)}"


def _problem(problem: ErrorDetails) -> str:
    keys = [str(part) for part in problem["loc"] if not str(part).startswith(("function-", "literal["))]
    key = ".".join(keys)
    given = problem.get("input")
    if problem["type"] == "extra_forbidden":
        known = _known_keys(keys[:-1])
        near = get_close_matches(keys[-1], known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        return f"{key}: there is no such key.{hint} Allowed here: {', '.join(known)}."
    if problem["type"] == "missing":
        return f"{key}: this key is needed and is not there."
    said = problem["msg"].removeprefix("Value error, ")
    where = f"{key}: " if key else ""
    shown = problem["type"] != SECRET and not isinstance(given, dict | BaseModel)
    was = f"got {given!r}; " if shown else ""
    allowed = _allowed(problem)
    return f"{where}{was}{said[:1].lower()}{said[1:]}{allowed}."


def _allowed(problem: ErrorDetails) -> str:
    expected = problem.get("ctx", {}).get("expected")
    if problem["type"] != "literal_error" or not isinstance(expected, str):
        return ""
    known = [part.strip(" '") for part in expected.replace(" or ", ", ").split(",")]
    near = get_close_matches(str(problem.get("input")), known, n=1, cutoff=0.4)
    return f" (did you mean {near[0]}?)" if near else ""


def _known_keys(parents: Sequence[str]) -> list[str]:
    form: Any = Experiment
    for part in parents:
        if not (isinstance(form, type) and issubclass(form, BaseModel)):
            continue
        field = form.model_fields.get(part)
        if field is not None:
            form = _form_in(field.annotation) or _form_in(Experiment.model_fields[part].annotation)
    return list(form.model_fields) if isinstance(form, type) and issubclass(form, BaseModel) else []


def _form_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _form_in(inner)
        if found is not None:
            return found
    return None


def _line_of(path: Path, keys: Sequence[int | str]) -> str:
    """Give `, line N` of the deepest key of the path that the file itself has."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, OSError):
        return ""
    line = None
    for part in keys:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return f", line {line}" if line is not None else ""


def _with_full_paths(experiment: Experiment, folder: Path) -> Experiment:
    data = experiment.data.model_copy(update={"path": _data_path(experiment.data.path, folder)})
    folds = experiment.folds
    if folds.file is not None:
        folds = folds.model_copy(update={"file": _full(folds.file, folder)})
    model = experiment.model.model_copy(update={"weights": _weights(experiment.model.weights, folder)})
    backbones = {
        name: entry if entry.weights is None else entry.model_copy(update={"weights": _weights(entry.weights, folder)})
        for name, entry in experiment.backbones.items()
    }
    return experiment.model_copy(update={"data": data, "folds": folds, "model": model, "backbones": backbones})


def _data_path(path: Path | str, folder: Path) -> Path | str:
    """Give the data's full path or address; `builtin:faces` is written out on first use."""
    if isinstance(path, str):
        return _full_address(path, folder)
    name = str(path)
    if not name.startswith(BUILTIN):
        return _full(path, folder)
    if name != f"{BUILTIN}faces":
        raise InputError(f"data.path: there is no built-in data set {name!r}. There is: {BUILTIN}faces.")
    return write_faces(cache_home() / "builtin" / "faces")


def _full_address(address: str, folder: Path) -> Path | str:
    """Give an address in which no local path depends on where the program runs."""
    if address.startswith(("file://", "local://")) and "::" not in address:
        return _full(Path(address.partition("://")[2]), folder)
    if address.startswith(ARCHIVES) and "::" not in address:
        protocol, _, file = address.partition("://")
        address = f"{protocol}://::{file}"
    *outer, last = address.split("::")
    return "::".join([*outer, last if "://" in last else str(_full(Path(last), folder))])


def _full(path: Path, folder: Path) -> Path:
    return (folder / path.expanduser()).resolve()


def _weights(weights: str, folder: Path) -> str:
    """Give a weight file's full path; names of sources stay as they are."""
    is_file = "/" in weights or weights.endswith((".h5", ".keras", ".weights.h5"))
    return str(_full(Path(weights), folder)) if is_file else weights
