from __future__ import annotations

from functools import cache

import keras
import numpy as np
import pytest

from tasks.backbones.build import build_base, build_model
from tasks.backbones.registry import get, names
from tasks.config import Head, InputError


@cache
def smallest(name):
    return build_model(name, n_outputs=3, size=get(name).min_size)


@cache
def native(name):
    """Built after others, at another size and with another head seed: what stays equal does not hang on these."""
    return build_model(name, n_outputs=3, head_seed=1)


def images(size, n=2):
    return np.random.default_rng(5).uniform(0, 255, (n, size, size, 3)).astype("float32")


def below(model, layer):
    return {part.name for part in keras.Model(model.input, model.get_layer(layer).output).layers}


def weights(model, *, head):
    return {
        f"{layer.name}/{weight.name}": weight.numpy()
        for layer in model.layers
        for weight in layer.weights
        if layer.name.startswith(("head_", "logits")) == head
    }


def array_bytes(named):
    return {name: array.tobytes() for name, array in named.items()}


@pytest.mark.parametrize("name", names())
def test_probabilities_are_the_softmax_of_the_logits(name):
    model = smallest(name).model
    both = keras.Model(model.input, [model.get_layer("logits").output, model.output])
    logits, probabilities = (np.asarray(x, dtype="float64") for x in both(images(get(name).min_size)))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert probabilities.shape == (2, 3)
    np.testing.assert_allclose(probabilities, odds / odds.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert model.output is model.get_layer("probabilities").output
    assert not np.allclose(logits[0], logits[1])


@pytest.mark.parametrize("name", names())
def test_the_cam_layer_and_every_boundary_cut_the_network_in_two(name):
    built = smallest(name)
    model, spec = built.model, built.spec
    expected = model(images(spec.min_size))
    for layer in {spec.cam_layer, *spec.freeze_points.values()} - {None}:
        tensor = model.get_layer(layer).output
        lower, upper = keras.Model(model.input, tensor), keras.Model(tensor, model.output)
        np.testing.assert_array_equal(upper(lower(images(spec.min_size))), expected)


def test_a_layer_on_one_of_several_paths_does_not_pass_for_a_cut():
    model = smallest("ncnn").model
    with pytest.raises(ValueError):
        keras.Model(model.get_layer("left_pool").output, model.output)


@pytest.mark.parametrize("name", names())
def test_the_cam_layer_lies_on_or_above_each_boundary_and_last_block_below_base(name):
    model, spec = smallest(name).model, get(name)
    points = spec.freeze_points
    assert {points["base"], points["last_block"]} <= below(model, spec.cam_layer)
    assert below(model, points["last_block"]) < below(model, points["base"])


@pytest.mark.parametrize("name", names())
def test_the_cam_layer_has_a_spatial_extent_at_native_size(name):
    shape = native(name).model.get_layer(get(name).cam_layer).output.shape
    assert len(shape) == 4
    assert min(shape[1:3]) > 1


@pytest.mark.parametrize("name", names())
def test_names_and_base_weights_hang_on_the_base_seed_alone(name):
    first, second = smallest(name), native(name)
    names_of = [[operation.name for operation in built.model.operations] for built in (first, second)]
    assert names_of[0] == names_of[1]
    assert array_bytes(weights(first.model, head=False)) == array_bytes(weights(second.model, head=False))
    assert first.weights_digest == second.weights_digest
    assert len(set(names_of[0])) == len(names_of[0])


@pytest.mark.parametrize("name", names())
def test_only_what_lies_above_the_boundary_is_trainable(name):
    model = smallest(name).model
    frozen = below(model, smallest(name).boundary)
    assert {layer.name for layer in model.layers if not layer.trainable} == frozen
    trained = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert trained
    assert not trained & frozen


@pytest.mark.parametrize("name", names())
def test_a_saved_model_is_plain_keras_and_gives_the_same_probabilities(name, tmp_path):
    model = smallest(name).model
    assert {type(operation).__module__.split(".")[0] for operation in model.operations} == {"keras"}
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = images(get(name).min_size)
    np.testing.assert_array_equal(again(x), model(x))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


def test_each_seed_changes_its_own_part_only():
    def built(base_seed, head_seed):
        model = build_model("ncnn", n_outputs=2, base_seed=base_seed, head_seed=head_seed)
        return tuple(array_bytes(weights(model.model, head=head)) for head in (False, True)), model.weights_digest

    (base, head), digest = built(0, 0)
    keras.utils.set_random_seed(99)
    assert built(0, 0) == ((base, head), digest)
    (same_base, other_head), same_digest = built(0, 1)
    assert (same_base, same_digest) == (base, digest)
    assert {name for name in head if head[name] != other_head[name]} == {"head_dense_1/kernel", "logits/kernel"}
    (other_base, same_head), other_digest = built(1, 0)
    assert same_head == head
    assert other_digest != digest
    assert all(other_base[name] != base[name] for name in base if name.endswith("/kernel"))


def test_no_two_kernels_of_one_shape_start_equal():
    kernels = [w for name, w in weights(smallest("resnet50").model, head=False).items() if name.endswith("/kernel")]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


def test_a_hidden_layer_stands_between_its_features_and_dropout():
    model = build_model("vgg16", n_outputs=4, size=32, head=Head(kind="flatten", units=[6, 5], dropout=0.5)).model
    above = [layer for layer in model.layers if layer.name not in below(model, "block5_pool")]
    assert [(type(layer).__name__, layer.output.shape[1:]) for layer in above] == [
        ("Flatten", (512,)),
        ("Dense", (6,)),
        ("Dropout", (6,)),
        ("Dense", (5,)),
        ("Dropout", (5,)),
        ("Dense", (4,)),
        ("Activation", (4,)),
    ]
    assert {layer.rate for layer in above if isinstance(layer, keras.layers.Dropout)} == {0.5}
    assert all(layer.activation.__name__ == "relu" for layer in above if layer.name.startswith("head_dense"))


def test_a_pooled_head_without_hidden_layers_has_one_dropout():
    model = smallest("vgg16").model
    above = [type(layer).__name__ for layer in model.layers if layer.name not in below(model, "block5_pool")]
    assert above == ["GlobalAveragePooling2D", "Dropout", "Dense", "Activation"]


def test_last_block_leaves_stage_five_and_the_head_trainable():
    model = build_model("resnet50", n_outputs=2, size=32, freeze="last_block").model
    trained = {layer.name for layer in model.layers if layer.trainable_weights}
    assert trained == {name for name in trained if name.startswith("conv5_")} | {"logits"}
    assert any(name.startswith("conv5_block1") for name in trained)


def test_batch_statistics_move_only_above_the_boundary():
    x = images(32, n=4)

    def moved(freeze):
        model = build_model("senet50", n_outputs=2, size=32, freeze=freeze).model
        before = [weight.numpy() for weight in model.non_trainable_weights]
        model(x, training=True)
        after = model.non_trainable_weights
        names_ = [w.path for w, old in zip(after, before, strict=True) if not np.array_equal(w.numpy(), old)]
        return {path.split("/")[0].split("_")[0] for path in names_}

    assert moved("base") == set()
    assert moved("last_block") == {"conv5"}
    assert moved("none") == {"conv1", "conv2", "conv3", "conv4", "conv5"}


def test_freezing_nothing_leaves_every_layer_trainable():
    built = build_model("ncnn", n_outputs=2, freeze="none")
    assert built.boundary is None
    assert all(layer.trainable for layer in built.model.layers)


def test_logits_and_probabilities_stay_float32_under_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build_model("vgg16", n_outputs=2, size=32).model
    finally:
        keras.config.set_dtype_policy(policy)
    dtypes = {name: model.get_layer(name).output.dtype for name in ("preprocessing", "logits", "probabilities")}
    assert dtypes == dict.fromkeys(dtypes, "float32")
    assert model.get_layer("block5_conv3").output.dtype == "float16"


def test_sigmoid_gives_each_output_its_own_probability():
    model = build_model("vgg16", n_outputs=3, size=32, activation="sigmoid").model
    both = keras.Model(model.input, [model.get_layer("logits").output, model.output])
    logits, probabilities = (np.asarray(x) for x in both(images(32)))
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_outputs_that_the_activation_cannot_give_are_refused():
    with pytest.raises(ValueError, match="softmax cannot give 1"):
        build_model("ncnn", n_outputs=1)
    with pytest.raises(ValueError, match="sigmoid cannot give 0"):
        build_model("ncnn", n_outputs=0, activation="sigmoid")


@pytest.mark.parametrize(
    "wrong", [{"backbone": "vgg61"}, {"size": 16}, {"freeze": "top"}, {"weights": "imagnet"}], ids=str
)
def test_bad_settings_are_refused_before_anything_is_built(wrong):
    with pytest.raises(InputError, match="|".join(str(value) for value in wrong.values())):
        build_model(**{"backbone": "vgg16", "n_outputs": 2} | wrong)


KERAS_MODULES = {
    "vgg16": keras.applications.vgg16,
    "resnet50": keras.applications.resnet50,
    "inceptionv3": keras.applications.inception_v3,
    "inceptionresnetv2": keras.applications.inception_resnet_v2,
    "densenet121": keras.applications.densenet,
    "xception": keras.applications.xception,
}
MEANS = {
    "vggface_vgg16": (93.5940, 104.7624, 129.1863),
    "vggface_resnet50": (91.4953, 103.8827, 131.0912),
    "senet50": (91.4953, 103.8827, 131.0912),
}


def expected_input(name, x):
    if name in KERAS_MODULES:
        return KERAS_MODULES[name].preprocess_input(x.copy())
    if name in MEANS:
        return x[..., ::-1] - np.array(MEANS[name], dtype="float32")
    return x / 255


@pytest.mark.parametrize("name", names())
def test_images_are_preprocessed_once_inside_the_network_and_left_as_they_were(name):
    model = smallest(name).model
    x = images(get(name).min_size)
    kept = x.copy()
    seen = keras.Model(model.input, model.get_layer("preprocessing").output)(x)
    np.testing.assert_allclose(seen, expected_input(name, x), atol=2e-4 if name in MEANS else 2e-5)
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "ncnn"])
def test_drawing_weights_anew_in_place_gives_what_new_layers_would_get(name, monkeypatch):
    spec = get(name)
    in_place = build_base(spec, spec.min_size, 7)
    monkeypatch.setattr("tasks.backbones.stable._reset", lambda *_: False)
    cloned = build_base(spec, spec.min_size, 7)
    assert in_place.get_config() == cloned.get_config()
    for one, other in zip(in_place.weights, cloned.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert not np.array_equal(build_base(spec, spec.min_size, 8).weights[0].numpy(), cloned.weights[0].numpy())
