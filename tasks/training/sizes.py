"""What a backbone's models and frozen features take on disk, told by building it without its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tasks.backbones.build import build_model
from tasks.config import Experiment
from tasks.training.features import frozen_gigabytes
from tasks.training.session import start_backbone


@dataclass(frozen=True)
class Sizes:
    """What one backbone takes.

    Attributes
    ----------
    image_size : int
        Height and width of its images in pixels.
    parameters : int
        Of the whole model, head included.
    feature_gb : float
        All of its frozen features in GB (10⁹ bytes); 0 where nothing is kept.
    """

    image_size: int
    parameters: int
    feature_gb: float

    def to_json(self) -> dict[str, float]:
        """Give them as a JSON object."""
        return asdict(self)


def sizes_of(experiment: Experiment, backbone: str, n_images: int, n_outputs: int) -> Sizes:
    """Build a backbone with random weights and give its sizes for so many images and classes."""
    model, training = experiment.model_of(backbone), experiment.training_of(backbone)
    start_backbone(0, training.mixed_precision)
    built = build_model(
        backbone, n_outputs=n_outputs, size=model.size, head=model.head, freeze=model.freeze, activation="sigmoid"
    )
    gigabytes = frozen_gigabytes(built, n_images, training.augmentation, experiment.cache.feature_dtype)
    return Sizes(int(built.model.input_shape[1]), int(built.model.count_params()), gigabytes)
