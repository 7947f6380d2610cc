"""The experiment's form: what an experiment file may say, with its defaults and bounds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails

MISSION = ("vgg16", "resnet50", "senet50", "inceptionv3", "ncnn")
"""The five backbones that an experiment compares unless it names others."""


class InputError(ValueError):
    """Bad input from outside: a file, a setting, an image. The message is one plain paragraph.

    It says what is wrong, where, and how to mend it; the command prints it and exits with 2.
    """


class Form(BaseModel):
    """A part of the experiment file: unknown keys are refused, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class Folds(Form):
    """How the images are cut into folds, and how validation images are drawn from the rest."""

    n_splits: int = Field(5, ge=2, description="Number of folds.")
    kind: Literal["auto", "stratified", "stratified_group", "ready_made"] = Field(
        "auto",
        description="`auto`: ready-made where the data has folds, by group where it has groups, else stratified.",
    )
    validation_fraction: float = Field(
        0.2, gt=0, lt=0.9, description="Share of the training images kept for early stopping."
    )
    file: Path | None = Field(None, description="A folds.csv to use again, so that two experiments share their folds.")


class Head(Form):
    """What stands on a backbone: pooled or flattened features, hidden layers, the logits."""

    kind: Literal["gap", "flatten"] = Field("gap", description="Global average pooling, or all features in one row.")
    units: list[Annotated[int, Field(ge=1)]] = Field([], description="Widths of the hidden dense layers (ReLU).")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout rate before the logits and behind each hidden layer.")


class Optimizer(Form):
    """The optimizer and its rates."""

    name: Literal["adam", "sgd"] = Field("adam", description="Which optimizer.")
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate at the start.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum (sgd only).")


class Augmentation(Form):
    """Random changes to the training images, and to no others. All off by default."""

    horizontal_flip: bool = Field(False, description="Mirror left and right with probability one half.")
    vertical_flip: bool = Field(False, description="Mirror top and bottom with probability one half.")
    shift: float = Field(0.0, ge=0, le=0.5, description="Largest shift as a share of height and width.")
    zoom: float = Field(0.0, ge=0, lt=0.9, description="Largest change of scale: 0.05 is 0.95 to 1.05.")
    rotation: float = Field(0.0, ge=0, le=180, description="Largest rotation in degrees.")
    brightness: float = Field(0.0, ge=0, lt=1, description="Largest change of brightness as a share of the full range.")
    mode: Literal["online", "cached"] = Field(
        "online",
        description="`online`: changed anew in every epoch; `cached`: a fixed number of changed variants an image, so "
        "that what is frozen is computed once for each. Without a frozen part, `cached` is `online`.",
    )
    variants: int = Field(4, ge=1, description="Changed variants an image (cached only).")

    @property
    def changes(self) -> dict[str, bool | float]:
        """The random changes and their bounds, without how they are kept."""
        return self.model_dump(exclude={"mode", "variants"})

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return any(bool(bound) for bound in self.changes.values())


class Training(Form):
    """How one model is fitted."""

    epochs: int = Field(20, ge=1, description="The most epochs.")
    batch_size: int = Field(16, ge=1, description="Images a step.")
    optimizer: Optimizer = Field(Optimizer(), description="The optimizer and its rates.")
    early_stopping_patience: int | None = Field(
        6, ge=1, description="Stop after so many epochs without a better validation loss; null: never."
    )
    reduce_lr_patience: int | None = Field(
        3, ge=1, description="Cut the learning rate after so many epochs without a better validation loss; null: never."
    )
    reduce_lr_factor: float = Field(0.1, gt=0, lt=1, description="What the learning rate is multiplied by.")
    class_weights: Literal["none", "balanced"] = Field("none", description="`balanced`: inverse to class frequency.")
    augmentation: Augmentation = Field(Augmentation(), description="Random changes to training images.")
    mixed_precision: bool = Field(False, description="Compute in float16 (for GPUs).")

    @model_validator(mode="after")
    def _rate_is_cut_before_the_stop(self) -> Self:
        stop, cut = self.early_stopping_patience, self.reduce_lr_patience
        if stop is not None and cut is not None and cut >= stop:
            raise ValueError(
                f"reduce_lr_patience ({cut}) must be below early_stopping_patience ({stop}), "
                "or training stops before the rate is ever cut; null switches either off"
            )
        return self


class Model(Form):
    """What every backbone starts from, unless its own entry under `backbones` says otherwise."""

    size: int | None = Field(None, ge=8, description="Height and width in pixels; null: the backbone's native size.")
    weights: str = Field(
        "none", description="`none` (random), `imagenet`, `vggface`, or the path of a weight file.", min_length=1
    )
    freeze: str = Field(
        "base", description="The freeze point: `base`, `last_block`, `none`, or one the backbone names."
    )
    head: Head | None = Field(None, description="What stands on the backbone; null: the backbone's own head.")


class BackboneEntry(Form):
    """One backbone's own settings; what is left out comes from `model` and `training`."""

    size: int | None = Field(None, ge=8, description="As in `model`.")
    weights: str | None = Field(None, description="As in `model`.", min_length=1)
    freeze: str | None = Field(None, description="As in `model`.")
    head: Head | None = Field(None, description="As in `model`.")
    training: dict[str, Any] = Field({}, description="Keys of `training` that differ for this backbone.")


class Evaluation(Form):
    """What the comparison ranks by."""

    metric: str = Field("balanced_accuracy", description="The metric that ranks the backbones.")


class Explanation(Form):
    """The pictures of where a model looks."""

    methods: list[Literal["gradcam"]] = Field(["gradcam"], description="Explanation methods.")
    max_images: int | None = Field(
        500, ge=0, description="The most test images a fold that are explained; null: all of them."
    )
    alpha: float = Field(0.4, ge=0, le=1, description="Opacity of the map on the picture.")
    colormap: str = Field("inferno", description="A colour map of matplotlib's; `jet` as in older studies.")
    contact_sheet_images: int = Field(12, ge=1, le=200, description="Images on a contact sheet.")
    format: Literal["png", "jpeg"] = Field(
        "png", description="File format of the overlays: `png` keeps every pixel, `jpeg` (quality 90) is smaller."
    )

    @field_validator("methods")
    @classmethod
    def _methods_once(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


class Runner(Form):
    """How the fold runs are spread over the machine."""

    workers: int | Literal["auto"] = Field(
        "auto", description="Fold runs at a time; `auto`: one a GPU, else as many as the cores allow."
    )
    threads_per_worker: int = Field(1, ge=1, description="Threads of TensorFlow in each worker.")
    retries: int = Field(1, ge=0, le=10, description="How often a fold run that failed is tried again.")
    timeout_minutes: float | None = Field(None, gt=0, description="The longest a fold run may take; null: no limit.")

    @field_validator("workers")
    @classmethod
    def _at_least_one(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be 1 or more, or `auto`")
        return value


class Cache(Form):
    """Bounds on what foldcam keeps to save work."""

    max_gb: float = Field(20.0, gt=0, description="The most disk space in GB for decoded images and features.")
    feature_dtype: Literal["float32", "float16"] = Field(
        "float32",
        description="How frozen features are kept: float16 takes half the space and rounds them, which is logged.",
    )


class Experiment(Form):
    """One experiment: data × backbones × folds."""

    name: str = Field(description="The MLflow experiment's name.", min_length=1, max_length=200)
    description: str = Field("", description="What it is for; shown in MLflow.")
    seed: int = Field(0, ge=0, lt=2**32, description="Every random choice follows from it.")
    deterministic: bool = Field(True, description="The same metrics to the last bit on the CPU, at some cost in speed.")
    data: Data
    folds: Folds = Folds()
    model: Model = Model()
    backbones: dict[str, BackboneEntry] = Field(
        default_factory=lambda: {name: BackboneEntry() for name in MISSION},
        description="Registry names, as a list or each with settings of its own.",
        min_length=1,
    )
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    explanation: Explanation = Explanation()
    runner: Runner = Runner()
    cache: Cache = Cache()

    @field_validator("name")
    @classmethod
    def _name_is_plain(cls, value: str) -> str:
        if value != value.strip() or any(ord(letter) < 32 for letter in value):
            raise ValueError("must not begin or end with a blank or hold control characters")
        return value

    @field_validator("backbones", mode="before")
    @classmethod
    def _names_or_mapping(cls, value: Any) -> Any:
        return normalised_backbones(value)

    @model_validator(mode="after")
    def _own_training_is_valid(self) -> Self:
        for name in self.backbones:
            try:
                self.training_of(name)
            except ValidationError as fault:
                moved = [_moved(error, ("backbones", name, "training")) for error in fault.errors()]
                raise ValidationError.from_exception_data("Experiment", moved) from None
        return self

    def model_of(self, backbone: str) -> Model:
        """`model` with the backbone's own settings laid over it."""
        own = self.backbones[backbone].model_dump(exclude={"training"}, exclude_none=True)
        return Model.model_validate(self.model.model_dump() | own)

    def training_of(self, backbone: str) -> Training:
        """`training` with the backbone's own settings laid over it."""
        return Training.model_validate(merged(self.training.model_dump(), self.backbones[backbone].training))


def normalised_backbones(value: Any) -> Any:
    """Give a list of names as the mapping that it stands for, and anything else as it is."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        if len(set(value)) != len(value):
            raise ValueError("a backbone is named twice")
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {name: {} if entry is None else entry for name, entry in value.items()}
    return value


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Give `base` with `over` laid on it, mapping by mapping; neither is changed."""
    out = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if nested else value
    return out


def _moved(error: ErrorDetails, place: tuple[str, ...]) -> InitErrorDetails:
    """Give an error found in a part as one of the whole, with its full key path."""
    details = {"type": error["type"], "loc": (*place, *error["loc"]), "input": error["input"]}
    return cast("InitErrorDetails", details | {"ctx": error.get("ctx", {})})


def _checked_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as fault:
        raise ValueError(f"not a regular expression: {fault}") from None
    return value
