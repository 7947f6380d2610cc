"""The backbones that Keras ships (`keras.applications`), registered with their own pre-processing."""

from __future__ import annotations

from typing import Any

from tasks.backbones.spec import Preprocessing, register

CAFFE = Preprocessing("bgr", (1.0, 1.0, 1.0), (-103.939, -116.779, -123.68))
"""Zero-centred BGR, as `preprocess_input` of VGG16 and ResNet50."""

UNIT_RANGE = Preprocessing("rgb", (1 / 127.5, 1 / 127.5, 1 / 127.5), (-1.0, -1.0, -1.0))
"""-1 to 1, as `preprocess_input` of InceptionV3, InceptionResNetV2 and Xception."""

STANDARDISED = Preprocessing(
    "rgb",
    (1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)),
    (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
)
"""ImageNet's mean 0 and standard deviation 1, as `preprocess_input` of DenseNet."""

CONSTRUCTORS = {
    "vgg16": "VGG16",
    "resnet50": "ResNet50",
    "inceptionv3": "InceptionV3",
    "inceptionresnetv2": "InceptionResNetV2",
    "densenet121": "DenseNet121",
    "xception": "Xception",
}
"""The class in `keras.applications` by the backbone's name."""

IMAGENET_WITH_TOP = "{}_weights_tf_dim_ordering_tf_kernels.h5"
"""What Keras calls the file of a network with its classifier."""

_IMAGENET = "{}_weights_tf_dim_ordering_tf_kernels_notop.h5"


def application(name: str, *, include_top: bool = False, **arguments: Any) -> Any:
    """Give Keras's own model, without its top unless that is asked for; `arguments` go to its constructor."""
    import keras

    return getattr(keras.applications, CONSTRUCTORS[name])(include_top=include_top, **arguments)


@register(
    name="vgg16",
    title="VGG16",
    native_size=224,
    min_size=32,
    gflops=30.7,
    preprocessing=CAFFE,
    cam_layer="block5_conv3",
    freeze_points={"base": "block5_conv3", "last_block": "block4_pool", "none": None},
    weight_sources={"none": (), "imagenet": (_IMAGENET.format("vgg16"),)},
)
def vgg16(x: Any) -> Any:
    """Give the features of VGG16 (Simonyan and Zisserman, 2015)."""
    return application("vgg16", weights=None, input_tensor=x).output


@register(
    name="resnet50",
    title="ResNet50",
    native_size=224,
    min_size=32,
    gflops=7.7,
    preprocessing=CAFFE,
    cam_layer="conv5_block3_out",
    freeze_points={"base": "conv5_block3_out", "last_block": "conv4_block6_out", "none": None},
    weight_sources={"none": (), "imagenet": (_IMAGENET.format("resnet50"),)},
)
def resnet50(x: Any) -> Any:
    """Give the features of ResNet50 (He et al., 2016)."""
    return application("resnet50", weights=None, input_tensor=x).output


@register(
    name="inceptionv3",
    title="InceptionV3",
    native_size=299,
    min_size=75,
    gflops=11.5,
    preprocessing=UNIT_RANGE,
    cam_layer="mixed10",
    freeze_points={"base": "mixed10", "last_block": "mixed8", "none": None},
    weight_sources={"none": (), "imagenet": (_IMAGENET.format("inception_v3"),)},
)
def inceptionv3(x: Any) -> Any:
    """Give the features of InceptionV3 (Szegedy et al., 2016)."""
    return application("inceptionv3", weights=None, input_tensor=x).output


@register(
    name="inceptionresnetv2",
    title="InceptionResNetV2",
    native_size=299,
    min_size=75,
    gflops=26.3,
    preprocessing=UNIT_RANGE,
    cam_layer="conv_7b_ac",
    freeze_points={"base": "conv_7b_ac", "last_block": "mixed_7a", "none": None},
    weight_sources={"none": (), "imagenet": (_IMAGENET.format("inception_resnet_v2"),)},
)
def inceptionresnetv2(x: Any) -> Any:
    """Give the features of InceptionResNetV2 (Szegedy et al., 2017)."""
    return application("inceptionresnetv2", weights=None, input_tensor=x).output


@register(
    name="densenet121",
    title="DenseNet121",
    native_size=224,
    min_size=32,
    gflops=5.7,
    preprocessing=STANDARDISED,
    cam_layer="relu",
    freeze_points={"base": "relu", "last_block": "pool4_pool", "none": None},
    weight_sources={"none": (), "imagenet": (_IMAGENET.format("densenet121"),)},
)
def densenet121(x: Any) -> Any:
    """Give the features of DenseNet121 (Huang et al., 2017)."""
    return application("densenet121", weights=None, input_tensor=x).output


@register(
    name="xception",
    title="Xception",
    native_size=299,
    min_size=71,
    gflops=16.8,
    preprocessing=UNIT_RANGE,
    cam_layer="block14_sepconv2_act",
    freeze_points={"base": "block14_sepconv2_act", "last_block": "add_11", "none": None},
    weight_sources={"none": (), "imagenet": (_IMAGENET.format("xception"),)},
)
def xception(x: Any) -> Any:
    """Give the features of Xception (Chollet, 2017); the last block is block 14, behind the last addition."""
    return application("xception", weights=None, input_tensor=x).output
