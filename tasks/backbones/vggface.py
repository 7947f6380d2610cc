"""The VGGFace networks with the layer names, preprocessing and weight files of their Keras release (v2.0)."""

from __future__ import annotations

from typing import Any

from tasks.backbones.spec import Preprocessing, register

VERSION_1 = Preprocessing("bgr", (1.0, 1.0, 1.0), (-93.5940, -104.7624, -129.1863))
"""BGR less the mean of VGGFace (VGG16)."""

VERSION_2 = Preprocessing("bgr", (1.0, 1.0, 1.0), (-91.4953, -103.8827, -131.0912))
"""BGR less the mean of VGGFace2 (ResNet50 and SENet50)."""


def _files(network: str) -> tuple[str, ...]:
    return (f"rcmalli_vggface_tf_notop_{network}.h5", f"rcmalli_vggface_tf_{network}.h5")


@register(
    name="vggface_vgg16",
    title="VGG16 (VGGFace)",
    native_size=224,
    min_size=32,
    gflops=30.7,
    preprocessing=VERSION_1,
    cam_layer="conv5_3",
    freeze_points={"base": "conv5_3", "last_block": "pool4", "none": None},
    weight_sources={"none": (), "vggface": _files("vgg16")},
)
def vggface_vgg16(x: Any) -> Any:
    """Give the features of VGGFace's VGG16 (Parkhi et al., 2015)."""
    from tasks.backbones import vggface_layers

    return vggface_layers.vgg16(x)


@register(
    name="vggface_resnet50",
    title="ResNet50 (VGGFace)",
    native_size=224,
    min_size=32,
    gflops=7.7,
    preprocessing=VERSION_2,
    cam_layer="conv5_3_out",
    freeze_points={"base": "conv5_3_out", "last_block": "conv4_6_out", "none": None},
    weight_sources={"none": (), "vggface": _files("resnet50")},
)
def vggface_resnet50(x: Any) -> Any:
    """Give the features of VGGFace2's ResNet50 (Cao et al., 2018)."""
    from tasks.backbones import vggface_layers

    return vggface_layers.resnet50(x, squeeze=False, epsilon=1e-3)


@register(
    name="senet50",
    title="SENet50 (VGGFace)",
    native_size=224,
    min_size=32,
    gflops=7.7,
    preprocessing=VERSION_2,
    cam_layer="conv5_3_out",
    freeze_points={"base": "conv5_3_out", "last_block": "conv4_6_out", "none": None},
    weight_sources={"none": (), "vggface": _files("senet50")},
)
def senet50(x: Any) -> Any:
    """Give the features of VGGFace2's SENet50 (Hu et al., 2018; Cao et al., 2018)."""
    from tasks.backbones import vggface_layers

    return vggface_layers.resnet50(x, squeeze=True, epsilon=1e-4)


def build(name: str, *, include_top: bool = True, size: int = 224) -> Any:
    """Give a VGGFace network as it was published: pre-processed BGR in, features or the people's classes out.

    Parameters
    ----------
    name : str
        `vggface_vgg16`, `vggface_resnet50` or `senet50`.
    include_top : bool
        Whether the published classifier stands on it (2,622 people for VGG16, else 8,631).
    size : int
        Height and width of the images in pixels.

    Returns
    -------
    keras.Model
        Input of shape (n, size, size, 3).
    """
    import keras

    from tasks.backbones import vggface_layers

    builders = {"vggface_vgg16": vggface_vgg16, "vggface_resnet50": vggface_resnet50, "senet50": senet50}
    image = keras.Input((size, size, 3), name="image")
    x = builders[name](image)
    if include_top:
        x = vggface_layers.vgg16_top(x) if name == "vggface_vgg16" else vggface_layers.resnet50_top(x)
    return keras.Model(image, x, name=name)
