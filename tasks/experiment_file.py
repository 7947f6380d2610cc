"""Reads an experiment file; whatever is wrong with it is said in one paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tasks.config import Experiment, Explanation, InputError, merged, normalised_backbones
from tasks.dataset.sources.faces import write_faces
from tasks.dataset.store import cache_home
from tasks.settings.paths import SECRET, checked_path, holds_secret
from tasks.settings.plain_yaml import NotPlainYaml, load_yaml

BUILTIN = "builtin:"
"""Marks a data path as one of the sets that foldcam can write out itself."""

ARCHIVES = ("zip://", "tar://")
"""Addresses of what lies in a file; `zip://file.zip` is short for `zip://::file.zip`."""

LARGEST_FILE = 1_000_000
"""Bytes; an experiment file is a page or two."""

_MOST_SHOWN = 100


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


def read_explanation(overrides: Sequence[str], base: Explanation | None = None) -> Explanation:
    """Give settings of explanation that come from no file.

    Parameters
    ----------
    overrides : sequence of str
        `KEY=VALUE` each, such as `integrated_gradients.steps=240`, with or without `explanation.` before it.
    base : Explanation or None
        What they are laid on; None: the defaults.

    Raises
    ------
    InputError
        A key is unknown, a value is not allowed.
    """
    own = "explanation"
    texts = [text if text.split(".")[0].strip() == own else f"{own}.{text.lstrip()}" for text in overrides]
    start = {} if base is None else base.model_dump()
    content: dict[str, Any] = {"name": own, "data": {"path": "."}, own: start}
    for text in texts:
        content = _overridden(content, text)
    try:
        return Experiment.model_validate(content).explanation
    except ValidationError as fault:
        raise InputError(_explained(Path("--set"), fault, texts)) from None


def _content(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise InputError(_no_file(path))
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"The experiment file {path} has over {LARGEST_FILE:,} bytes; is it really one?")
        content = load_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as fault:
        raise InputError(f"The experiment file {path} could not be read: {fault.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"The experiment file {path} is not UTF-8 text; save it as UTF-8.") from None
    except NotPlainYaml as fault:
        raise InputError(f"The experiment file {path} is {fault}.") from None
    if not isinstance(content, dict):
        raise InputError(f"The experiment file {path} must hold keys with values, such as `name: my-experiment`.")
    return content


def _no_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path()
    near = get_close_matches(path.name, [entry.name for entry in folder.iterdir() if entry.is_file()], n=1)
    hint = f" Is {folder / near[0]} meant?" if near else " `foldcam init` writes one for a folder of images."
    what = "is a folder, not a file" if path.is_dir() else "is no ordinary file" if path.exists() else "is not there"
    return f"The experiment file {path} {what}.{hint}"


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
        given = load_yaml(value) if value.strip() else None
    except NotPlainYaml as fault:
        raise InputError(f"--set {key}: the value is {fault}.") from None
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
    if problem["type"] == "invalid_key":
        return f"{key}: the key {given!r} is no text to YAML; write it in quotes."
    said = problem["msg"].removeprefix("Value error, ")
    where = f"{key}: " if key else ""
    quotes = "; write it in quotes" if problem["type"] == "string_type" and not isinstance(given, list | dict) else ""
    return f"{where}{_was(problem)}{said[:1].lower()}{said[1:]}{quotes}{_allowed(problem)}."


def _was(problem: ErrorDetails) -> str:
    """Give what stands there, unless that is long or may hold a password."""
    given = problem.get("input")
    text = repr(given)
    if problem["type"] == SECRET or isinstance(given, dict | BaseModel) or holds_secret(text):
        return ""
    return f"got {text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + '…'}; "


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
    if data.regions is not None:
        data = data.model_copy(update={"regions": _full(data.regions, folder, "data.regions")})
    corrections = [_full(file, folder, "data.corrections") for file in data.corrections]
    data = data.model_copy(update={"corrections": corrections})
    folds = experiment.folds
    if folds.file is not None:
        folds = folds.model_copy(update={"file": _full(folds.file, folder, "folds.file")})
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


def _full(path: Path, folder: Path, key: str = "data.path") -> Path:
    try:
        return (folder / checked_path(path)).resolve()
    except (ValueError, OSError, RuntimeError) as fault:
        raise InputError(f"{key}: {fault}.") from None


def _weights(weights: str, folder: Path) -> str:
    """Give a weight file's full path; names of sources stay as they are."""
    is_file = "/" in weights or weights.endswith((".h5", ".keras", ".weights.h5"))
    if not is_file:
        return weights
    path = _full(Path(weights), folder, "model.weights")
    try:
        path.is_file()
    except OSError as fault:
        raise InputError(f"model.weights: {path} cannot be opened: {fault.strerror}.") from None
    return str(path)
