"""The parts of the experiment file that say how backbones are compared, and what becomes of the best one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tasks.settings.base import Form

Rate = Annotated[float, Field(gt=0, lt=1)]
FigureFormat = Literal["png", "pdf", "svg"]


class Comparison(Form):
    """How the backbones are compared once their fold runs are done; nothing here changes a fold run."""

    metrics: list[str] | None = Field(
        None,
        min_length=1,
        description="The metrics that pairs of backbones are compared in; null: the one that ranks them, and log_loss.",
    )
    n_draws: int = Field(10_000, ge=1000, le=1_000_000, description="Draws of the bootstrap and of the sign-flip test.")
    rope: float = Field(
        0.01, gt=0, lt=1, description="Half the region of practical equivalence: differences below it do not matter."
    )
    calibration: Literal["temperature", "vector", "none"] = Field(
        "temperature",
        description="How probabilities are scaled, by each fold run's validation images: one `temperature`; a factor "
        "and an offset for each class (`vector`); or `none`.",
    )
    sensitivity: list[Rate] = Field([0.9, 0.95], description="Sensitivities for which thresholds are wanted.")
    specificity: list[Rate] = Field([0.9, 0.95], description="Specificities for which thresholds are wanted.")
    ensembles: bool = Field(True, description="Whether means of several backbones are compared with the best one.")
    suspect_labels: bool = Field(True, description="Whether labels that are probably wrong are looked for.")
    subgroups: list[str] | None = Field(
        None, description="Columns of the data's table by whose values the metrics are told; null: all that can be."
    )
    cost: bool = Field(True, description="Whether the speed and the memory of each backbone are measured.")
    figures: list[FigureFormat] = Field(["png", "pdf"], min_length=1, description="File formats of the figures.")

    @field_validator("figures")
    @classmethod
    def _each_once(cls, value: list[FigureFormat]) -> list[FigureFormat]:
        return list(dict.fromkeys(value))


class Champion(Form):
    """What becomes of the best backbone after the comparison."""

    enabled: bool = Field(True, description="Whether the best one is registered as a model at all.")
    name: str | None = Field(
        None, min_length=1, max_length=200, description="The registered model's name; null: the experiment's."
    )
    promotion: Literal["evidence", "always", "never"] = Field(
        "evidence",
        description="When the alias `champion` moves to the new version: on `evidence` from images that neither has "
        "seen, `always`, or `never`. Where there is no champion yet, the first version becomes it, but not by `never`.",
    )
    ensemble: bool = Field(
        True,
        description="Whether an ensemble of backbones may be registered, where it is told apart as better.",
    )
    intended_use: str = Field("", description="What the model is meant for; stands in its card.")
    licence: str = Field("", description="The licence of model and data; stands in its card.")
