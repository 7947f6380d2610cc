"""Pages for people: HTML from a template, every text in it escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


def page_template(file: Path, filters: Iterable[Callable[..., Any]] = ()) -> Template:
    """Return a page's template, in which a name that has no value is an error.

    Parameters
    ----------
    file
        The template.
    filters
        Functions that the template knows by their names.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(file.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in filters})
    return environment.get_template(file.name)
