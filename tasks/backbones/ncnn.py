"""N-CNN, the small network for newborns' faces (Zamzmi et al., 2019), for images of 120 × 120 pixels."""

from __future__ import annotations

from typing import Any

from tasks.backbones.spec import Preprocessing, register
from tasks.config import Head

SIZES = tuple(size for size in range(34, 151) if size // 10 == (size - 7) // 9)
"""Sizes at which the three branches have one extent: size // 10 left and right, ((size - 4) // 3 - 1) // 3 between."""


@register(
    name="ncnn",
    title="N-CNN",
    native_size=120,
    min_size=SIZES[0],
    gflops=0.32,
    preprocessing=Preprocessing("rgb", (1 / 255, 1 / 255, 1 / 255), (0.0, 0.0, 0.0)),
    cam_layer="conv_2x2_",
    freeze_points={"base": "conv_2x2_", "last_block": "concatenated", "none": None},
    weight_sources={"none": ()},
    default_head=Head(kind="flatten", units=[8], dropout=0.1),
    sizes=SIZES,
)
def ncnn(x: Any) -> Any:
    """Give the features of N-CNN: three branches, joined, one more convolution and pooling."""
    from keras import layers

    left = layers.MaxPooling2D(10, name="left_pool")(x)

    centre = layers.Conv2D(64, 5, name="centre_conv_1")(x)
    centre = layers.LeakyReLU(negative_slope=0.01, name="centre_relu_1")(centre)
    centre = layers.MaxPooling2D(3, name="centre_pool_1")(centre)
    centre = layers.Conv2D(64, 2, name="centre_conv_2")(centre)
    centre = layers.LeakyReLU(negative_slope=0.01, name="centre_relu_2")(centre)
    centre = layers.MaxPooling2D(3, name="centre_pool_2")(centre)
    centre = layers.Dropout(0.1, name="centre_dropout")(centre)

    right = layers.Conv2D(64, 5, padding="same", name="right_conv")(x)
    right = layers.LeakyReLU(negative_slope=0.01, name="right_relu")(right)
    right = layers.MaxPooling2D(10, name="right_pool")(right)
    right = layers.Dropout(0.1, name="right_dropout")(right)

    x = layers.Concatenate(name="concatenated")([left, centre, right])
    x = layers.Conv2D(64, 2, activation="relu", name="conv_2x2_")(x)
    return layers.MaxPooling2D(2, name="last_pool")(x)
