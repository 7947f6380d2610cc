"""The parts of the experiment file that say how results are judged and shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tasks.settings.base import Form

Probability = Annotated[float, Field(ge=0, le=1)]
MethodName = Literal[
    "gradcam",
    "gradcampp",
    "hirescam",
    "layercam",
    "scorecam",
    "eigencam",
    "saliency",
    "smoothgrad",
    "integrated_gradients",
    "guided",
    "occlusion",
    "rise",
]
"""Methods of explanation, in the order in which they are listed to people."""

Fill = Literal["black", "white", "mean", "blur"]
"""What stands where a picture is taken away: a colour, the picture's mean colour, or the picture blurred."""


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


class IntegratedGradients(Form):
    """How integrated gradients are taken."""

    baseline: Fill = Field("black", description="Where the path begins.")
    steps: int = Field(50, ge=1, le=1000, description="Steps of the path; 50 to 240 are usual.")


class SmoothGrad(Form):
    """How SmoothGrad is taken."""

    n_samples: int = Field(25, ge=1, le=500, description="Noisy copies of an image.")
    noise: float = Field(0.15, ge=0, le=1, description="Standard deviation of the noise, as a share of the range.")


class ScoreCam(Form):
    """How Score-CAM is taken."""

    max_channels: int | None = Field(
        64, ge=1, description="The most channels an image that are tried, one pass each; null: all, as published."
    )


class Occlusion(Form):
    """How occlusion is done."""

    patch: int = Field(32, ge=1, description="Side of the square that hides a part, in pixels of the network's image.")
    stride: int = Field(16, ge=1, description="How far the square moves, at most its side.")
    fill: Fill = Field("mean", description="What the square is filled with.")


class Rise(Form):
    """How RISE is done."""

    n_masks: int = Field(1000, ge=1, description="Random masks, one pass each.")
    cells: int = Field(8, ge=2, description="Rows and columns of a mask before it is enlarged.")
    fill: Fill = Field("mean", description="What stands behind the masks.")


class Explanation(Form):
    """The pictures of where a model looks, and the measures of how far to believe them."""

    methods: list[MethodName] = Field(["gradcam"], min_length=1, description="Explanation methods.")
    layer: str | None = Field(
        None,
        description="The layer that CAM methods map, by name, or `auto`: the last one with height and width; null: the "
        "backbone's own.",
    )
    target: Literal["predicted", "true"] = Field(
        "predicted", description="Which class of an image is explained: the predicted one, or its own."
    )
    integrated_gradients: IntegratedGradients = Field(default_factory=IntegratedGradients)
    smoothgrad: SmoothGrad = Field(default_factory=SmoothGrad)
    scorecam: ScoreCam = Field(default_factory=ScoreCam)
    occlusion: Occlusion = Field(default_factory=Occlusion)
    rise: Rise = Field(default_factory=Rise)
    feature_maps: Annotated[int, Field(ge=0, le=100)] | list[str] = Field(
        0,
        description="Layers whose channels are drawn for a few images a fold: so many of the first convolutions, or "
        "their names.",
    )
    faithfulness_images: int = Field(
        64,
        ge=0,
        description="The most test images a fold on which faithfulness, sanity and stability are measured; 0: none.",
    )
    faithfulness_share: float | None = Field(
        0.25,
        gt=0,
        le=1,
        description="The most of a fold run's work that these measures may take, counted in passes through the "
        "network; four images are measured even so. null: no bound.",
    )
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
