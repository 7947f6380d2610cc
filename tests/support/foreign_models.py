"""Models as other people build them, with tiny layers and random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

SIDE = 16


def tiny_backbone(side: int | None = SIDE, name: str = "backbone") -> Any:
    """Give a functional model without top, with a batch normalisation whose statistics are not the initial ones."""
    x = keras.Input((side, side, 3), name="backbone_input")
    y = layers.Conv2D(4, 3, padding="same", use_bias=False, name="stem")(x)
    y = layers.BatchNormalization(name="stem_bn")(y)
    y = layers.ReLU(name="stem_relu")(y)
    y = layers.MaxPooling2D(name="stem_pool")(y)
    side_branch = layers.Conv2D(6, 1, name="shortcut")(y)
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="block")(y)
    y = layers.Add(name="block_add")([y, side_branch])
    model = keras.Model(x, layers.ReLU(name="block_out")(y), name=name)
    rng = np.random.default_rng(7)
    for weight in model.get_layer("stem_bn").weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def transfer_learning() -> Any:
    """Give what the transfer learning guides of Keras and TensorFlow build, up to the single logit."""
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)], name="augmentation")
    base = tiny_backbone()
    base.trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    x = augmentation(inputs)
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def image_classification() -> Any:
    """Give what TensorFlow's image classification tutorial builds: all sequential, plain logits."""
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomZoom(0.1)]),
            layers.Rescaling(1.0 / 255),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(5, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dense(3, name="outputs"),
        ]
    )


def sequential_in_sequential() -> Any:
    """Give a Sequential on a backbone, with a head that is a Sequential too, and layers that share a name."""
    features = keras.Sequential([tiny_backbone(), layers.Conv2D(5, 3, activation="relu", name="block")])
    head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(4), layers.Softmax()])
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 255), features, head])


def from_scratch() -> Any:
    """Give a functional model as in the guide on image classification from scratch: residuals, several sigmoids."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    previous = x
    x = layers.SeparableConv2D(6, 3, padding="same")(layers.Activation("relu")(x))
    x = layers.add([x, layers.Conv2D(6, 1, padding="same")(previous)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="sigmoid")(layers.Dropout(0.25)(x)))


def digits() -> Any:
    """Give what the MNIST guide builds, with its scaling in the model: one channel, softmax in the Dense."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(5, activation="softmax"),
        ]
    )


def convolution_at_the_end() -> Any:
    """Give a model in the manner of MobileNet: the classifier is a convolution, then a Reshape and an Activation."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[3600.0, 3500.0, 3400.0])(inputs)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.GlobalAveragePooling2D(keepdims=True)(layers.ReLU(6.0)(x))
    x = layers.Conv2D(4, 1)(x)
    return keras.Model(inputs, layers.Activation("softmax")(layers.Reshape((4,))(x)))


def convolution_with_softmax() -> Any:
    """Give a model whose last convolution has a softmax over classes, flattened behind it."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    x = layers.GlobalMaxPooling2D(keepdims=True)(x)
    return keras.Model(inputs, layers.Flatten()(layers.Conv2D(3, 1, activation="softmax")(x)))


def operations() -> Any:
    """Give a functional model with operations of `keras.ops` in it, the pre-processing of VGG16 among them."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.applications.vgg16.preprocess_input(inputs)
    x = tiny_backbone()(x)
    x = keras.ops.mean(x, axis=(1, 2))
    return keras.Model(inputs, keras.ops.softmax(layers.Dense(3)(x) / 100))


def one_backbone_twice() -> Any:
    """Give a model that runs one backbone on the image and on its mirror image."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x, base = layers.Rescaling(1 / 255)(inputs), tiny_backbone()
    pool = layers.GlobalAveragePooling2D()
    both = [pool(base(x)), pool(base(keras.ops.flip(x, axis=2)))]
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Concatenate()(both)))


def several_tensors() -> Any:
    """Give a model by names, with a nested model that gives two tensors and one that takes them."""
    x = keras.Input((SIDE, SIDE, 3))
    fine = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    coarse = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(fine)
    trunk = keras.Model(x, [fine, coarse], name="trunk")
    one, two = keras.Input((SIDE, SIDE, 4)), keras.Input((SIDE // 2, SIDE // 2, 4))
    neck = keras.Model([one, two], layers.Concatenate()([one, layers.UpSampling2D()(two)]), name="neck")
    image = keras.Input((SIDE, SIDE, 3), name="picture", dtype="uint8")
    merged = layers.Conv2D(5, 3, name="merged")(neck(trunk(layers.Rescaling(1 / 255)(image))))
    answer = layers.Dense(3, activation="softmax")(layers.GlobalMaxPooling2D()(merged))
    return keras.Model({"picture": image}, {"answer": answer})


def mobile_net() -> Any:
    """Give a network of `keras.applications` with random weights, nested as in the guides, on images of 32 pixels.

    Its batch normalisations have the statistics of some images, since random layers would let all signal fade.
    """
    base = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg")
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    base(np.random.default_rng(1).uniform(-1, 1, (16, 32, 32, 3)).astype(np.float32), training=True)
    inputs = keras.Input((32, 32, 3))
    x = base(keras.applications.mobilenet_v2.preprocess_input(inputs), training=False)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


MODELS: dict[str, Callable[[], Any]] = {
    own.__name__: own
    for own in (
        transfer_learning,
        image_classification,
        sequential_in_sequential,
        from_scratch,
        digits,
        convolution_at_the_end,
        convolution_with_softmax,
        operations,
        one_backbone_twice,
        several_tensors,
        mobile_net,
    )
}
"""By name; all take images of values 0 to 255."""

PLAIN_LOGITS = {"transfer_learning", "image_classification"}
"""Those that end in logits."""


def built(name: str, seed: int = 5) -> Any:
    """Give a model with weights that follow from a seed."""
    keras.utils.set_random_seed(seed)
    return MODELS[name]()


def images_for(model: Any, n: int = 3) -> np.ndarray:
    """Give random RGB images, float32, whole numbers of 0 to 255, of the size that a model takes."""
    _, height, width, _ = model.inputs[0].shape
    return np.random.default_rng(3).integers(0, 256, (n, height or SIDE, width or SIDE, 3)).astype(np.float32)
