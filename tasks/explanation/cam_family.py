"""The kin of Grad-CAM that weigh a layer's channels by slopes: Grad-CAM++, HiResCAM, LayerCAM."""

from __future__ import annotations

import tensorflow as tf

from tasks.explanation.cam_method import SlopeMethod


class GradCamPlusPlus(SlopeMethod):
    """Grad-CAM++ (Chattopadhay et al., 2018): slopes count by place, so that small objects weigh as much as large ones.

    The weight of a channel A is the sum over its places of α · relu(∂Y/∂A) (eq. 5), where Y is exp(S) of the target's
    logit S, and α = (∂S/∂A)² / (2 (∂S/∂A)² + ΣA · (∂S/∂A)³) (eq. 19, which assumes that the second derivatives of S
    are 0, as behind ReLUs). The map is the ReLU of the weighted sum, 0 or more.

    Two steps keep it finite in float32 and change no picture. From ∂Y/∂A = exp(S) · ∂S/∂A the factor exp(S) is left
    out: it is the same for all channels of an image, vanishes when its map is normalised, and overflows from a logit of
    88 on. And since α counts only where ∂S/∂A > 0, it is computed as 1 / (2 + ΣA · ∂S/∂A), without cubes of small
    numbers. The paper's channels are not negative; for others that denominator may come near 0, and where it is 0 the
    place counts nothing.

    The parameters are those of `CamMethod`; each layer is one that everything on the way to the logits passes through.
    """

    title = "Grad-CAM++"

    @staticmethod
    def weigh(activations: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        """Give the ReLU of the channels, each weighted by its positive slopes, these by eq. 19."""
        whole = tf.reduce_sum(activations, axis=(1, 2), keepdims=True)
        counted = tf.math.divide_no_nan(tf.nn.relu(slopes), 2 + whole * slopes)
        weights = tf.reduce_sum(counted, axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1))


class HiResCam(SlopeMethod):
    """HiResCAM (Draelos and Carin, 2020): each place of each channel is weighted by its own slope.

    The map is the sum over the channels of activation times slope of the target's logit. It has a sign: a positive
    value speaks for the target, a negative one against it. Where the logit is linear in the layer, the map's sum is
    the logit without its bias; behind a global average pooling its positive part is Grad-CAM's map.

    The parameters are those of `CamMethod`; each layer is one that everything on the way to the logits passes through.
    """

    title = "HiResCAM"

    @staticmethod
    def weigh(activations: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        """Give the sum over the channels of activation times slope."""
        return tf.reduce_sum(activations * slopes, axis=-1)


class LayerCam(SlopeMethod):
    """LayerCAM (Jiang et al., 2021): each place of each channel is weighted by its own slope where that is positive.

    The map is the ReLU of the sum over the channels, 0 or more. It is made for layers further down too, whose slopes
    differ from place to place.

    The parameters are those of `CamMethod`; each layer is one that everything on the way to the logits passes through.
    """

    title = "LayerCAM"

    @staticmethod
    def weigh(activations: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        """Give the ReLU of the sum over the channels of activation times positive slope."""
        return tf.nn.relu(tf.reduce_sum(tf.nn.relu(slopes) * activations, axis=-1))
