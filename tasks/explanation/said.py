"""What the user says of a model that does not say it itself; checked without loading TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from tasks.backbones.registry import names as backbones
from tasks.backbones.spec import Preprocessing
from tasks.config import InputError
from tasks.dataset.wording import listed, nearest
from tasks.settings.plain_yaml import NotPlainYaml, load_yaml

IN_THE_MODEL = "model"
"""Says that a model takes RGB images with values 0 to 255 as they are."""

Activation = Literal["softmax", "sigmoid"]
Resize = Literal["stretch", "pad", "crop"]
ACTIVATIONS: dict[str, Activation] = {name: name for name in get_args(Activation)}
RESIZES: dict[str, Resize] = {name: name for name in get_args(Resize)}

_LARGEST_FILE = 10_000_000
_T = TypeVar("_T")


@dataclass(frozen=True)
class Said:
    """What the user says of a model that does not say it itself.

    Attributes
    ----------
    preprocessing : Preprocessing, str or None
        As `tasks.explanation.foreign_preprocessing.chosen_preprocessing` takes it; None: nothing is said.
    activation : {"softmax", "sigmoid"} or None
        How plain logits are read.
    size : int or None
        Height and width of its images in pixels, for models that take any.
    resize : {"stretch", "pad", "crop"} or None
        How a picture becomes such an image; None: stretched.
    classes : tuple of str
        Names, in the order of the outputs; none: not said.
    thresholds : tuple of float
        From which probability on an image has a label: one for all, or one a label; none: 0.5.
    ordinal : bool
        Whether several sigmoids are grades, each saying that it is reached.
    trust : bool
        Whether code in the file may run.
    """

    preprocessing: Preprocessing | str | None = None
    activation: Activation | None = None
    size: int | None = None
    resize: Resize | None = None
    classes: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    ordinal: bool = False
    trust: bool = False

    def check_unsaid(self, why: str) -> None:
        """Refuse whatever is said, but for trust, of a model that brings it along; `why` says so.

        Raises
        ------
        InputError
            Naming what to leave out.
        """
        said = [f"--{name}" for name, value in vars(self).items() if value not in (None, (), False) and name != "trust"]
        if said:
            raise InputError(f"{', '.join(said)}: {why} Leave {'them' if len(said) > 1 else 'it'} out.")


def read_said(
    *,
    preprocessing: str | None,
    classes: str | None,
    size: int | None,
    resize: str | None,
    activation: str | None,
    thresholds: str | None,
    ordinal: bool,
    trust: bool,
) -> Said:
    """Read what is said on the command line.

    Raises
    ------
    InputError
        A value is not allowed.
    """
    if size is not None and size < 1:
        raise InputError(f"--size: {size} is no height and width in pixels.")
    return Said(
        preprocessing=None if preprocessing is None else preprocessing_of(preprocessing),
        activation=None if activation is None else _one_of("--activation", activation, ACTIVATIONS),
        size=size,
        resize=None if resize is None else _one_of("--resize", resize, RESIZES),
        classes=() if classes is None else class_names(classes),
        thresholds=() if thresholds is None else _probabilities(thresholds),
        ordinal=ordinal,
        trust=trust,
    )


def class_names(text: str) -> tuple[str, ...]:
    """Read names of classes: from a file of UTF-8 text, one a line, or from a text with commas.

    Raises
    ------
    InputError
        The file cannot be read, there is no name, or one is there twice.
    """
    path = Path(text).expanduser()
    try:
        is_file = path.is_file()
        if is_file and path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"--classes: the file {text} is too large to hold names of classes.")
        parts = path.read_text(encoding="utf-8-sig").splitlines() if is_file else text.split(",")
    except OSError as fault:
        raise InputError(f"--classes: {text[:100]} cannot be read: {fault.strerror}.") from fault
    except UnicodeDecodeError as fault:
        raise InputError(f"--classes: the file {text} is not UTF-8 text.") from fault
    names = tuple(part.strip() for part in parts if part.strip() or not is_file)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if not all(names) or not names:
        raise InputError("--classes: a name is empty. Give `cat,dog`, or a file with one name a line.")
    if twice:
        raise InputError(f"--classes: {listed(twice, 3)} stands there twice. Each class needs a name of its own.")
    return names


def preprocessing_of(text: str) -> Preprocessing | str:
    """Read what is done to an image before a model: `model`, a backbone's name, or a YAML file with all of it.

    Raises
    ------
    InputError
        It is none of these, or the file does not hold `channel_order`, `scale` and `offset`.
    """
    if text == IN_THE_MODEL or text in backbones():
        return text
    path = Path(text).expanduser()
    if not path.is_file():
        like = nearest(text, [IN_THE_MODEL, *backbones()])
        raise InputError(
            f"--preprocessing: there is no pre-processing {text!r}{f' (the nearest is {like})' if like else ''}, and "
            f"no such file. Say `{IN_THE_MODEL}` if the model takes RGB values of 0 to 255 as they are, the backbone "
            f"whose pre-processing it was trained with ({', '.join(backbones())}; `ncnn` is 0 to 1, `inceptionv3` -1 "
            "to 1), or name a YAML file with channel_order, scale and offset."
        )
    try:
        content: Any = load_yaml(path.read_text(encoding="utf-8-sig"))
        return TypeAdapter(Preprocessing).validate_python(content)
    except (OSError, UnicodeDecodeError, NotPlainYaml, ValidationError) as fault:
        raise InputError(
            f"--preprocessing: the file {text} does not say how images are prepared. It must hold `channel_order: rgb` "
            "(or bgr), and `scale` and `offset` with three numbers each, in that order of the channels: a value of 0 "
            "to 255 is multiplied by the scale, and the offset is added."
        ) from fault


def _one_of(flag: str, text: str, known: Mapping[str, _T]) -> _T:
    if text not in known:
        like = nearest(text, list(known))
        raise InputError(f"{flag}: got {text!r}; it is one of {', '.join(known)}{f' ({like}?)' if like else ''}.")
    return known[text]


def _probabilities(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (-1.0,)
    if not all(0 <= value <= 1 for value in values):
        raise InputError(f"--thresholds: got {text!r}; give one number from 0 to 1, or one for each label with commas.")
    return values
