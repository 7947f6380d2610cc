"""What Prefect's pages show beside the fields of a flow's form."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from pydantic.fields import FieldInfo

Function = TypeVar("Function", bound=Callable[..., Any])


def formed(function: Function) -> Function:
    """Let a flow's form show the descriptions that its parameters' annotations carry; stands below `@flow`.

    Prefect reads them from the docstring alone, in Google's form.
    """
    hints = get_type_hints(function, include_extras=True)
    told = [(name, _description(hints.get(name))) for name in inspect.signature(function).parameters]
    lines = [f"    {name}: {text}" for name, text in told if text]
    function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Args:", *lines])
    return function


def _description(hint: Any) -> str | None:
    found = (own.description for own in getattr(hint, "__metadata__", ()) if isinstance(own, FieldInfo))
    return next(found, None)
