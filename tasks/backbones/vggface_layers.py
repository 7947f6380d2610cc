"""The layers of the VGGFace networks, named as published with `_` for `/`, which Keras 3 refuses in names."""

from __future__ import annotations

from typing import Any

from keras import layers

PEOPLE_1, PEOPLE_2 = 2622, 8631
"""How many people VGGFace and VGGFace2 tell apart."""


def vgg16(x: Any) -> Any:
    """Give VGG16's features: 13 convolutions in five blocks, each block closed by a pooling."""
    for block, (width, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], start=1):
        for number in range(1, depth + 1):
            x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv{block}_{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{block}")(x)
    return x


def vgg16_top(x: Any) -> Any:
    """Give VGG16's probabilities of the 2,622 people."""
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = layers.Dense(4096, name=name)(x)
        x = layers.Activation("relu", name=f"{name}_relu")(x)
    x = layers.Dense(PEOPLE_1, name="fc8")(x)
    return layers.Activation("softmax", name="fc8_softmax")(x)


def resnet50(x: Any, *, squeeze: bool, epsilon: float) -> Any:
    """Give the features of VGGFace2's ResNet50, or of SENet50 with `squeeze`.

    Unlike Keras's ResNet50 it has no biases, strides on the 1 × 1 reduction and an unpadded first pooling.
    `epsilon` is that of the batch normalisations.
    """
    x = _convolution(x, 64, 7, "conv1_7x7_s2", epsilon, strides=2, activation="conv1_relu")
    x = layers.MaxPooling2D(3, strides=2, name="conv1_pool")(x)
    for stage, (width, depth) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], start=2):
        for number in range(1, depth + 1):
            strides = 2 if number == 1 and stage > 2 else 1
            x = _block(x, width, f"conv{stage}_{number}", epsilon, strides, project=number == 1, squeeze=squeeze)
    return x


def resnet50_top(x: Any) -> Any:
    """Give ResNet50's or SENet50's probabilities of the 8,631 people."""
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return layers.Dense(PEOPLE_2, activation="softmax", name="classifier")(x)


def _block(x: Any, width: int, name: str, epsilon: float, strides: int, *, project: bool, squeeze: bool) -> Any:
    """Give a bottleneck block: reduce, 3 × 3, increase, [squeeze and excite,] add the shortcut, ReLU."""
    y = _convolution(x, width, 1, f"{name}_1x1_reduce", epsilon, strides=strides, activation=f"{name}_relu_1")
    y = _convolution(y, width, 3, f"{name}_3x3", epsilon, activation=f"{name}_relu_2")
    y = _convolution(y, 4 * width, 1, f"{name}_1x1_increase", epsilon)
    if squeeze:
        y = _excited(y, 4 * width, name)
    if project:
        x = _convolution(x, 4 * width, 1, f"{name}_1x1_proj", epsilon, strides=strides)
    y = layers.Add(name=f"{name}_add")([y, x])
    return layers.Activation("relu", name=f"{name}_out")(y)


def _convolution(
    x: Any, width: int, kernel: int, name: str, epsilon: float, *, strides: int = 1, activation: str | None = None
) -> Any:
    """Give a convolution without bias and its batch normalisation, with a ReLU named `activation` if there is one."""
    x = layers.Conv2D(width, kernel, strides=strides, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=0.99, epsilon=epsilon, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=activation)(x) if activation else x


def _excited(x: Any, width: int, name: str) -> Any:
    """Give the channels weighted by squeeze and excitation (Hu et al., 2018, section 3)."""
    weight = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    weight = layers.Conv2D(width // 16, 1, activation="relu", name=f"{name}_1x1_down")(weight)
    weight = layers.Conv2D(width, 1, activation="sigmoid", name=f"{name}_1x1_up")(weight)
    return layers.Multiply(name=f"{name}_excite")([x, weight])
