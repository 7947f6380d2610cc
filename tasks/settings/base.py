"""What all parts of the experiment file share: the base of their forms, and the error for bad input."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict


class InputError(ValueError):
    """Bad input from outside: a file, a setting, an image. The message is one plain paragraph.

    It says what is wrong, where, and how to mend it; the command prints it and exits with 2.
    """


class Unfinished(RuntimeError):
    """What could not be brought to its end now, though nothing is wrong with what was asked for.

    The message is one plain paragraph that says what is kept and how to go on; the command prints it and exits with 3.
    """


class Form(BaseModel):
    """A part of the experiment file: unknown keys are refused, values do not change once read.

    What is refused is not shown by the errors themselves, since it may hold a password.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def causes(fault: BaseException) -> Iterator[BaseException]:
    """Give a fault and what it came of, one after the other, the first cause last."""
    seen: set[int] = set()
    own: BaseException | None = fault
    while own is not None and id(own) not in seen:
        seen.add(id(own))
        yield own
        own = own.__cause__ or own.__context__


def holds_controls(text: str) -> bool:
    """Return whether a text holds line breaks, other control characters or halves of characters."""
    return any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text)


def checked_pattern(value: str) -> str:
    """Give a regular expression as it is.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        re.compile(value)
    except re.error as fault:
        raise ValueError(f"not a regular expression: {fault}") from None
    return value
