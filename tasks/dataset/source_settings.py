"""The experiment file's `data`: where images are, and what their labels, groups and splits are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks import config
from tasks.config import Form, _checked_pattern


class LabelRule(Form):
    """One rule that gives a label to the images whose file name it fits."""

    label: str | None = Field(
        None, description="The label that a fitting image gets; left out where the regex finds it.", min_length=1
    )
    contains: list[str] | None = Field(None, description="The file name contains one of these texts.")
    glob: str | None = Field(None, description="The file name fits this pattern, such as `*_sick_*.png`.")
    regex: str | None = Field(
        None,
        description="This regular expression is found in the file name; a named group `label` in it, such as "
        "`^(?P<label>[A-Z]+)-`, gives the label itself.",
    )

    @field_validator("contains", mode="before")
    @classmethod
    def _one_text_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("regex")
    @classmethod
    def _regex_compiles(cls, value: str | None) -> str | None:
        return value if value is None else _checked_pattern(value)

    @property
    def finds_label(self) -> bool:
        """Whether the label is what the regular expression's group `label` finds."""
        return self.regex is not None and "label" in re.compile(self.regex).groupindex

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.contains, self.glob, self.regex)) != 1:
            raise ValueError("a rule needs exactly one of `contains`, `glob` and `regex`")
        if self.finds_label and self.label is not None:
            raise ValueError("the regex has a group `label`, which finds the label: leave the key `label` out")
        if not self.finds_label and self.label is None:
            raise ValueError("a rule needs `label`, or a regex with a named group such as `^(?P<label>[A-Z]+)-`")
        return self


class Labels(Form):
    """Labels from the file name; with no rules, an image's label is its class folder's name, or a table's cell."""

    rules: list[LabelRule] = Field([], description="Tried on every file name; two rules with different labels clash.")
    otherwise: str | None = Field(None, description="The label of an image that no rule fits; without it, an error.")
    ignore_case: bool = Field(True, description="Compare file names without regard to case.")


class Table(Form):
    """A table of images (CSV, TSV or Parquet): its file and its columns. `none` as a column's name: it is not used."""

    file: Path | None = Field(
        None, description="The table, relative to `data.path`; by default the one that lies in that folder."
    )
    folder: Path | None = Field(
        None,
        description="The folder that the names in the table start from, relative to `data.path`; by default the "
        "table's own, or wherever a name is found just once.",
    )
    image: str | None = Field(None, description="Column of image names; by default image, path, file, id_code, ….")
    label: str | None = Field(None, description="Column of labels; by default label, labels, class or diagnosis.")
    split: str | None = Field(None, description="Column of train, val and test; by default `split`, where it exists.")
    fold: str | None = Field(None, description="Column of ready-made folds; by default `fold`, where it exists.")


class Groups(Form):
    """What must never be split between two folds: found in the path, in a column, or in a table of its own."""

    pattern: str | None = Field(
        None,
        description="Regular expression with a named group `group`, searched in an image's path below `data.path`.",
    )
    column: str | None = Field(
        None, description="Column of groups: of `table`, else of the table of images; `none`: not even `group`."
    )
    table: Path | None = Field(
        None, description="A table of its own, relative to `data.path`: image names or paths, and their groups."
    )
    image: str | None = Field(None, description="Column of image names in `table`; by default as in `data.table`.")

    @field_validator("pattern")
    @classmethod
    def _pattern_names_group(cls, value: str | None) -> str | None:
        if value is not None and "group" not in re.compile(_checked_pattern(value)).groupindex:
            raise ValueError("the pattern needs a named group, such as `(?P<group>[0-9]+)`")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.pattern is not None) == (self.column is not None or self.table is not None):
            raise ValueError("groups need either `pattern`, or `column`, `table` or both of these")
        if self.image is not None and self.table is None:
            raise ValueError("`image` names a column of groups' own `table`, and there is none")
        return self


class Data(Form):
    """Where the images are and what their labels, groups and splits are."""

    path: Path = Field(
        description="The folder of images, relative to the experiment file; or `builtin:faces`, the demo's images."
    )
    reader: str = Field("auto", description="How the folder is laid out; `auto` looks at it.")
    table: Table = Field(Table(), description="A table of images, or the tables beside arrays.")
    labels: Labels = Field(Labels(), description="Rules for labels from file names.")
    groups: Groups | None = Field(
        None,
        description="Images of one group never stand in two folds: `{pattern: …}` or that pattern alone, "
        "`{column: …}`, or `{table: …}`; by default the column `group` of a table, where it exists.",
    )
    classes: list[str] | None = Field(None, description="The classes in order; by default the labels, sorted.")
    holdout: Literal["test", "val", "none"] | list[Literal["test", "val"]] = Field(
        "test",
        description="The data's own split that is kept for the end: `test`, `val`, or a list of both; the others join "
        "the folds. `none`: all do.",
    )
    on_corrupt: Literal["skip", "stop"] = Field(
        "stop", description="What to do about images that cannot be read or, named in a table, are not there."
    )
    unlabelled: Literal["skip", "stop"] = Field("stop", description="What to do about images without a label.")

    @field_validator("groups", mode="before")
    @classmethod
    def _one_text_is_a_pattern(cls, value: Any) -> Any:
        return {"pattern": value} if isinstance(value, str) else value

    @property
    def held_out(self) -> frozenset[str]:
        """The splits that are kept for the end."""
        names: list[str] = [self.holdout] if isinstance(self.holdout, str) else list(self.holdout)
        return frozenset(names) - {"none"}


def full(data: Data | config.Data) -> Data:
    """Return the settings in the form that the readers take."""
    return data if isinstance(data, Data) else Data.model_validate(data.model_dump())
