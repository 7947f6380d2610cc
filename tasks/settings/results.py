"""The parts of the experiment file that say how results are judged and shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tasks.settings.base import Form

Probability = Annotated[float, Field(ge=0, le=1)]


class Evaluation(Form):
    """What the comparison ranks by, and from which probability on a label counts as given."""

    metric: str | None = Field(
        None,
        description="The metric that ranks the backbones; null: balanced_accuracy, for grades quadratic_kappa, for "
        "several labels an image f1_macro.",
    )
    thresholds: Probability | dict[str, Probability] | Literal["tuned"] | None = Field(
        None,
        description="From which probability on an image has a label (multilabel only): one for all, one a label, or "
        "`tuned`: the best for F1 on each fold run's validation images; null: 0.5 for all.",
    )


class Explanation(Form):
    """The pictures of where a model looks."""

    methods: list[Literal["gradcam"]] = Field(["gradcam"], description="Explanation methods.")
    max_images: int | None = Field(
        500, ge=0, description="The most test images a fold that are explained; null: all of them."
    )
    alpha: float = Field(0.4, ge=0, le=1, description="Opacity of the map on the picture.")
    colormap: str = Field("inferno", description="A colour map of matplotlib's; `jet` as in older studies.")
    contact_sheet_images: int = Field(12, ge=1, le=200, description="Images on a contact sheet.")
    top: int = Field(
        8, ge=1, le=1000, description="How many of the likeliest classes are explained (photographs only)."
    )
    classes: list[str] = Field(
        [], description="Classes that are explained on every photograph, by ImageNet's names or synsets."
    )
    format: Literal["png", "jpeg"] = Field(
        "png", description="File format of the overlays: `png` keeps every pixel, `jpeg` (quality 90) is smaller."
    )

    @field_validator("methods")
    @classmethod
    def _methods_once(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))
