"""The parts of the experiment file that say what the images are: their place, labels, groups, splits and folds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tasks.settings.base import Form, checked_pattern
from tasks.settings.paths import LocalPath, checked_address, checked_path

Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]


LabelName = Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
"""A class, label or grade; YAML makes numbers of grades."""


class LabelRule(Form):
    """One rule that gives a label to the images whose file name it fits."""

    label: LabelName | None = Field(
        None, description="The label that a fitting image gets; left out where the regex finds it."
    )
    contains: list[LabelName] | None = Field(None, description="The file name contains one of these texts.")
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
        return value if value is None else checked_pattern(value)

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


Kind = Literal["multiclass", "multilabel", "ordinal"]
"""What labels are: one class of several (two are one case of it), any number of labels, or a grade."""


class Labels(Form):
    """What labels are, and where from: file names by rules, else an image's class folder's name, or a table's cell."""

    kind: Literal["auto", "binary", "multiclass", "multilabel", "ordinal", "none"] = Field(
        "auto",
        description="`binary` or `multiclass`: one class an image (`auto`); `multilabel`: any number of labels; "
        "`ordinal`: grades, in the order of `data.classes` or of their numbers; `none`: photographs without labels, "
        "explained by networks as their weights left them.",
    )
    separator: str = Field(
        " ", description="What stands between the labels of an image (multilabel only).", min_length=1
    )
    none_label: LabelName | None = Field(
        None, description="What an image without any label is called, such as healthy (multilabel only)."
    )
    rules: list[LabelRule] = Field([], description="Tried on every file name; two rules with different labels clash.")
    otherwise: LabelName | None = Field(
        None, description="The label of an image that no rule fits; without it, an error."
    )
    ignore_case: bool = Field(True, description="Compare file names without regard to case.")

    @property
    def target_kind(self) -> Kind:
        """The kind without the two that are one class of several."""
        return self.kind if self.kind in ("multilabel", "ordinal") else "multiclass"

    @model_validator(mode="after")
    def _none_label_has_labels(self) -> Self:
        if self.none_label is not None and self.kind != "multilabel":
            raise ValueError("`none_label` is for images without any label, so it needs `kind: multilabel`")
        if self.kind == "multilabel" and self.none_label is not None and self.separator in self.none_label:
            raise ValueError(f"`none_label` must not hold the separator {self.separator!r}")
        return self


class Table(Form):
    """A table of images (CSV, TSV or Parquet): its file and its columns. `none` as a column's name: it is not used."""

    file: LocalPath | None = Field(
        None, description="The table, relative to `data.path`; by default the one that lies in that folder."
    )
    folder: LocalPath | None = Field(
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
    table: LocalPath | None = Field(
        None, description="A table of its own, relative to `data.path`: image names or paths, and their groups."
    )
    image: str | None = Field(None, description="Column of image names in `table`; by default as in `data.table`.")

    @field_validator("pattern")
    @classmethod
    def _pattern_names_group(cls, value: str | None) -> str | None:
        if value is not None and "group" not in re.compile(checked_pattern(value)).groupindex:
            raise ValueError("the pattern needs a named group, such as `(?P<group>[0-9]+)`")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.pattern is not None) == (self.column is not None or self.table is not None):
            raise ValueError("groups need either `pattern`, or `column`, `table` or both of these")
        if self.image is not None and self.table is None:
            raise ValueError("`image` names a column of groups' own `table`, and there is none")
        return self


class Preprocessing(Form):
    """From an image file to the square that a backbone takes; the backbone's own scaling comes after it."""

    resize: Literal["stretch", "pad", "crop"] = Field(
        "stretch",
        description="`stretch`: height and width each to the size; `pad`: the longer side, the rest filled; `crop`: "
        "the shorter side, and the middle of the longer one.",
    )
    pad_color: Colour = Field((0, 0, 0), description="What `pad` fills with: `#rrggbb`, or three numbers, 0 to 255.")
    mask: Literal["none", "circle"] = Field("none", description="`circle`: black outside the largest centred circle.")
    transparency_color: Colour = Field(
        (0, 0, 0), description="What transparent pixels are laid on: `#rrggbb`, or three numbers, 0 to 255."
    )

    @field_validator("pad_color", "transparency_color", mode="before")
    @classmethod
    def _hexadecimal_is_a_colour(cls, value: Any) -> Any:
        if isinstance(value, str):
            if not re.fullmatch("#[0-9a-fA-F]{6}", value):
                raise ValueError("a colour is `#rrggbb`, such as `#ffffff` for white, or three numbers from 0 to 255")
            return tuple(bytes.fromhex(value[1:]))
        return value


class NearDuplicates(Form):
    """Pictures that look the same: how near they are reported, and how near they are kept in one fold."""

    distance: int = Field(4, ge=0, le=11, description="Bits in which two hashes may differ to be reported.")
    join_distance: int = Field(2, ge=0, le=11, description="Bits in which they may differ to be kept in one fold.")

    @model_validator(mode="after")
    def _joined_are_reported(self) -> Self:
        if self.join_distance > self.distance:
            raise ValueError(
                f"join_distance ({self.join_distance}) must not be above distance ({self.distance}): pictures that are "
                "kept together are reported too"
            )
        return self


class Audit(Form):
    """What the audit looks for."""

    off: list[str] = Field(
        [],
        description="Codes that are not reported, such as images.blurred, or a family: images. What stops a run is "
        "always reported, and so is what `data.allow_leaks` lets through.",
    )
    near_duplicates: NearDuplicates = Field(NearDuplicates(), description="Pictures that look the same.")

    @model_validator(mode="before")
    @classmethod
    def _off_is_a_key(cls, value: Any) -> Any:
        """Take the key `off` for what it is: YAML reads the bare word as false."""
        if isinstance(value, dict):
            return {"off" if key is False else key: item for key, item in value.items()}
        return value


class Data(Form):
    """Where the images are and what their labels, groups and splits are."""

    path: Path | str = Field(
        description="The folder of images, relative to the experiment file; an address, such as `s3://bucket/folder` "
        "or `https://host/train.csv`; or `builtin:faces`, the demo's images."
    )
    reader: str = Field("auto", description="How the folder is laid out; `auto` looks at it.")
    table: Table = Field(Table(), description="A table of images, or the tables beside arrays.")
    labels: Labels = Field(Labels(), description="Rules for labels from file names.")
    groups: Groups | None = Field(
        None,
        description="Images of one group never stand in two folds: `{pattern: …}` or that pattern alone, "
        "`{column: …}`, or `{table: …}`; by default the column `group` of a table, where it exists.",
    )
    classes: list[LabelName] | None = Field(None, description="The classes in order; by default the labels, sorted.")
    holdout: Literal["test", "val", "none"] | list[Literal["test", "val"]] = Field(
        "test",
        description="The data's own split that is kept for the end: `test`, `val`, or a list of both; the others join "
        "the folds. `none`: all do.",
    )
    on_corrupt: Literal["skip", "stop"] = Field(
        "stop", description="What to do about images that cannot be read or, named in a table, are not there."
    )
    unlabelled: Literal["skip", "stop"] = Field("stop", description="What to do about images without a label.")
    preprocessing: Preprocessing = Field(Preprocessing(), description="From image files to squares.")
    audit: Audit = Field(Audit(), description="What the audit looks for.")
    regions: LocalPath | None = Field(
        None,
        description="Where in the pictures the thing to see is, to hold maps against: a folder of masks named as the "
        "images are, or a table of boxes (image, x_min, y_min, x_max, y_max); relative to the experiment file.",
    )
    corrections: list[LocalPath] = Field(
        [],
        description="Tables of suspect labels that people have filled in, such as `suspect_labels.csv` of an earlier "
        "run, in the order in which they were; relative to the experiment file.",
    )
    allow_leaks: list[str] = Field(
        [],
        description="Paths, or patterns such as `rig7/*`, of images that only look alike and may stand in two folds.",
    )

    @field_validator("path", mode="plain")
    @classmethod
    def _path_or_address(cls, value: Any) -> Path | str:
        if isinstance(value, str) and value:
            return checked_address(value) if "://" in value else checked_path(Path(value))
        if not isinstance(value, Path):
            raise PydanticCustomError("path_type", "a path or an address is wanted")
        return checked_path(value)

    @field_validator("corrections", mode="before")
    @classmethod
    def _one_file_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | Path) else value

    @field_validator("groups", mode="before")
    @classmethod
    def _one_text_is_a_pattern(cls, value: Any) -> Any:
        return {"pattern": value} if isinstance(value, str) else value

    @property
    def held_out(self) -> frozenset[str]:
        """The splits that are kept for the end."""
        names: list[str] = [self.holdout] if isinstance(self.holdout, str) else list(self.holdout)
        return frozenset(names) - {"none"}


class Folds(Form):
    """How the images are cut into folds, and how validation images are drawn from the rest."""

    n_splits: int = Field(5, ge=2, description="Number of folds.")
    n_repeats: int = Field(1, ge=1, le=100, description="How often the images are cut anew into n_splits folds.")
    kind: Literal["auto", "stratified", "group", "stratified_group", "ready_made"] = Field(
        "auto",
        description="`auto`: ready-made where the data has folds, stratified_group where it has groups, else "
        "stratified; `group` keeps groups whole and leaves the classes to chance.",
    )
    validation_fraction: float = Field(
        0.2, gt=0, lt=0.9, description="Share of the training images kept for early stopping."
    )
    file: LocalPath | None = Field(
        None, description="A folds.csv to use again, so that two experiments share their folds."
    )
