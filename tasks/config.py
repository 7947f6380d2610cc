"""The experiment's form: what an experiment file may say, with its defaults and bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails

from tasks.settings.base import Form, InputError, Unfinished, holds_controls
from tasks.settings.comparison import Champion, Comparison
from tasks.settings.data import (
    Audit,
    Data,
    Folds,
    Groups,
    Kind,
    LabelRule,
    Labels,
    NearDuplicates,
    Preprocessing,
    Table,
)
from tasks.settings.photographs import check_photographs
from tasks.settings.results import Evaluation, Explanation, Fill, MethodName
from tasks.settings.runner import Runner

__all__ = [
    "Audit",
    "Augmentation",
    "BackboneEntry",
    "Champion",
    "Comparison",
    "Data",
    "Experiment",
    "Explanation",
    "Fill",
    "Folds",
    "Groups",
    "Head",
    "InputError",
    "Kind",
    "LabelRule",
    "Labels",
    "MethodName",
    "NearDuplicates",
    "Optimizer",
    "Preprocessing",
    "Runner",
    "Table",
    "Training",
    "Unfinished",
    "holds_controls",
]

MISSION = ("vgg16", "resnet50", "senet50", "inceptionv3", "ncnn")
"""The five backbones that an experiment compares unless it names others."""


RANKING_METRICS = {"multiclass": "balanced_accuracy", "ordinal": "quadratic_kappa", "multilabel": "f1_macro"}
"""What the comparison ranks by for each kind of labels, unless the file says otherwise."""


class Head(Form):
    """What stands on a backbone: pooled or flattened features, hidden layers, the logits. A word alone is its kind."""

    kind: Literal["gap", "flatten", "pretrained"] = Field(
        "gap",
        description="`gap`: global average pooling; `flatten`: all features in one row; `pretrained`: the network's "
        "own classifier of ImageNet's 1000 classes, as its weights left it (for data.labels.kind: none).",
    )
    units: list[Annotated[int, Field(ge=1)]] = Field([], description="Widths of the hidden dense layers (ReLU).")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout rate before the logits and behind each hidden layer.")

    @model_validator(mode="before")
    @classmethod
    def _one_word_is_the_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


class Optimizer(Form):
    """The optimizer and its rates."""

    name: Literal["adam", "sgd", "rmsprop"] = Field("adam", description="Which optimizer.")
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate at the start.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum (sgd only).")
    weight_decay: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="The share of each trained weight, times the learning rate, that every step takes off it, apart "
        "from the gradient; 0 or null: none.",
    )


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
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="`balanced`: inverse to class frequency; of several labels an image, each label by itself."
    )
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
    comparison: Comparison = Comparison()
    champion: Champion = Champion()
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

    @model_validator(mode="after")
    def _thresholds_have_labels(self) -> Self:
        if self.evaluation.thresholds is not None and self.data.labels.kind != "multilabel":
            raise ValueError("evaluation.thresholds are for data.labels.kind: multilabel; one class is the likeliest")
        return self

    @model_validator(mode="after")
    def _photographs_stand_alone(self) -> Self:
        check_photographs(self)
        return self

    @property
    def metric(self) -> str:
        """The metric that ranks the backbones."""
        return self.evaluation.metric or RANKING_METRICS[self.data.labels.target_kind]

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
