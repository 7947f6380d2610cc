"""The methods of explanation by name. Listing them does not load TensorFlow; loading one does."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tasks.backbones.spec import nearest
from tasks.config import InputError


@dataclass(frozen=True)
class Method:
    """A method: what it is called, where its class is, and what must be known before it is used.

    Attributes
    ----------
    name : str
        What settings, folders and commands call it.
    title : str
        What people call it.
    address : str
        Module and class, as `module:Class`.
    needs_layer : bool
        Whether it maps a layer that must be named or found.
    from_features : bool
        Whether it can start from the activations of a layer at or below those mapped; else it starts from images.
    signed : bool
        Whether its maps are negative where something speaks against the target; only what speaks for it is shown.
    above_least : bool
        Whether a map means something only above its own least value, which is taken off before it is shown.
    few_pixels : bool
        Whether few pixels hold most of a map, so that all others would look dark beside its maximum.
    fails_sanity_checks : str
        Why its maps do not depend on the whole model as they should (Adebayo et al., 2018), in words; else empty.
    """

    name: str
    title: str
    address: str
    needs_layer: bool = True
    from_features: bool = True
    signed: bool = False
    above_least: bool = False
    few_pixels: bool = False
    fails_sanity_checks: str = ""

    def load(self) -> Any:
        """Give the class; it is built once for each model, and called with inputs and targets."""
        module, _, name = self.address.partition(":")
        return getattr(import_module(module), name)

    @property
    def passes(self) -> str:
        """How many forward and backward passes an image costs, in words."""
        return str(self.load().passes)


_FAMILY = "tasks.explanation.cam_family"


def _image_method(name: str, title: str, place: str, **known: Any) -> Method:
    return Method(name, title, f"tasks.explanation.{place}", needs_layer=False, from_features=False, **known)


INTEGRATED_GRADIENTS = "integrated_gradients"
"""The method that shares a difference of scores out among the pixels, and says how far the shares miss it."""

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("gradcam", "Grad-CAM", "tasks.explanation.gradcam:GradCam"),
        Method("gradcampp", "Grad-CAM++", f"{_FAMILY}:GradCamPlusPlus"),
        Method("hirescam", "HiResCAM", f"{_FAMILY}:HiResCam", signed=True),
        Method("layercam", "LayerCAM", f"{_FAMILY}:LayerCam"),
        Method("scorecam", "Score-CAM", "tasks.explanation.score_cam:ScoreCam", from_features=False),
        Method(
            "eigencam",
            "Eigen-CAM",
            "tasks.explanation.eigen_cam:EigenCam",
            fails_sanity_checks="its maps depend neither on the class nor on anything above the layer",
        ),
        _image_method("saliency", "Saliency", "gradients:Saliency", few_pixels=True),
        _image_method("smoothgrad", "SmoothGrad", "gradients:SmoothGrad", few_pixels=True),
        _image_method(
            INTEGRATED_GRADIENTS,
            "Integrated gradients",
            "integrated:IntegratedGradients",
            signed=True,
            few_pixels=True,
        ),
        _image_method(
            "guided",
            "Guided back-propagation",
            "guided:GuidedBackprop",
            few_pixels=True,
            fails_sanity_checks="its maps hardly change when the weights of the upper layers are drawn anew",
        ),
        _image_method("occlusion", "Occlusion", "perturbation:Occlusion", signed=True),
        _image_method("rise", "RISE", "perturbation:Rise", above_least=True),
    )
}
"""Every method, by name."""


def names() -> list[str]:
    """Give the names of all methods, in the order in which they are listed to people."""
    return list(METHODS)


def get(name: str) -> Method:
    """Give a method by its name.

    Raises
    ------
    InputError
        When there is none; the message lists the known names and the nearest.
    """
    if name not in METHODS:
        raise InputError(
            f"Unknown method of explanation. Received: {name}; known: {', '.join(METHODS)}{nearest(name, METHODS)}. "
            "Write one of the known names under `explanation.methods`."
        )
    return METHODS[name]
