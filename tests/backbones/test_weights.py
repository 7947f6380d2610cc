from __future__ import annotations

import hashlib
import itertools
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from tasks.backbones import vggface
from tasks.backbones.applications import application
from tasks.backbones.build import build_base, build_model
from tasks.backbones.registry import get
from tasks.backbones.stable import stable_names
from tasks.backbones.weight_files import load_file
from tasks.backbones.weights import load_weights
from tasks.config import InputError

NETWORKS = ["vggface_vgg16", "vggface_resnet50", "senet50"]
STAGES = [(2, 64, 3, 64), (3, 128, 4, 256), (4, 256, 6, 512), (5, 512, 3, 1024)]
"""Stage, width, blocks, channels coming in."""


def residual_shapes(squeeze):
    """The published layers of VGGFace2's ResNet50 and SENet50 with the shapes of their weights."""
    shapes = {}

    def convolution(name, kernel, inward, outward):
        shapes[name] = {"kernel": (kernel, kernel, inward, outward)}
        shapes[f"{name}/bn"] = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (outward,))

    convolution("conv1/7x7_s2", 7, 3, 64)
    for stage, width, blocks, inward in STAGES:
        for block in range(1, blocks + 1):
            name = f"conv{stage}_{block}"
            convolution(f"{name}_1x1_reduce", 1, inward, width)
            convolution(f"{name}_3x3", 3, width, width)
            convolution(f"{name}_1x1_increase", 1, width, 4 * width)
            if squeeze:
                shapes[f"{name}_1x1_down"] = {"kernel": (1, 1, 4 * width, width // 4), "bias": (width // 4,)}
                shapes[f"{name}_1x1_up"] = {"kernel": (1, 1, width // 4, 4 * width), "bias": (4 * width,)}
            if block == 1:
                convolution(f"{name}_1x1_proj", 1, inward, 4 * width)
            inward = 4 * width
    return shapes


def vgg16_shapes():
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    names = [
        f"conv{block}_{number}" for block, depth in enumerate((2, 2, 3, 3, 3), 1) for number in range(1, depth + 1)
    ]
    pairs = itertools.pairwise(channels)
    return {name: {"kernel": (3, 3, *pair), "bias": pair[1:]} for name, pair in zip(names, pairs, strict=True)}


SHAPES = {
    "vggface_vgg16": vgg16_shapes(),
    "vggface_resnet50": residual_shapes(squeeze=False),
    "senet50": residual_shapes(squeeze=True),
}


def random_arrays(shapes):
    rng = np.random.default_rng(7)
    arrays = {}
    for layer, weights in shapes.items():
        for weight, shape in weights.items():
            values = rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
            if weight == "moving_variance":
                values = 1 + 0.5 * np.tanh(np.abs(values))
            elif weight == "gamma":
                values = 1 + 0.1 * values
            arrays[layer, weight] = values.astype("float32")
    return arrays


def write_legacy(path, arrays, *, root=None):
    """Write a file as Keras 2 did; the weights of a layer in alphabetical order, not in the order of the layer's."""
    with h5py.File(path, "w") as file:
        top = file.create_group(root) if root else file
        layers = list(dict.fromkeys(layer for layer, _ in arrays))
        top.attrs["layer_names"] = [layer.encode() for layer in ["input_1", *layers]]
        top.attrs["keras_version"] = b"2.2.4"
        top.create_group("input_1").attrs["weight_names"] = np.array([], dtype="S1")
        for layer in layers:
            group = top.require_group(layer)
            weights = sorted(weight for owner, weight in arrays if owner == layer)
            group.attrs["weight_names"] = [f"{layer}/{weight}:0".encode() for weight in weights]
            for weight in weights:
                group[f"{layer}/{weight}:0"] = arrays[layer, weight]
    return path


@pytest.fixture(scope="module")
def senet(tmp_path_factory):
    """A base, a file that fits it, and the arrays in the file."""
    arrays = random_arrays(SHAPES["senet50"])
    path = write_legacy(tmp_path_factory.mktemp("senet") / "senet50.h5", arrays)
    return build_base(get("senet50"), 32, seed=0), path, arrays


@pytest.fixture
def kept(senet):
    """The fitting file's copy, to be spoiled."""

    def copy(folder, spoil):
        path = shutil.copy(senet[1], folder / "spoiled.h5")
        with h5py.File(path, "r+") as file:
            spoil(file)
        return path

    return copy


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty Keras folder and a network in which nothing answers."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models"


@pytest.mark.parametrize(
    ("name", "without_top", "with_top"),
    [
        ("vggface_vgg16", 14_714_688, None),
        ("vggface_resnet50", 23_561_152, 41_246_071),
        ("senet50", 26_092_144, 43_777_063),
    ],
)
def test_vggface_networks_have_the_published_number_of_parameters(name, without_top, with_top):
    assert vggface.build(name, include_top=False).count_params() == without_top
    if with_top:
        model = vggface.build(name, include_top=True)
        assert model.count_params() == with_top
        assert model.output.shape == (None, 8631)


def test_vggface_vgg16_with_its_top_tells_2622_people_apart():
    model = vggface.build("vggface_vgg16", include_top=True, size=32)
    shapes = {layer.name: layer.kernel.shape for layer in model.layers if layer.name in ("fc6", "fc7", "fc8")}
    assert shapes == {"fc6": (512, 4096), "fc7": (4096, 4096), "fc8": (4096, 2622)}
    assert model.layers[-1].activation.__name__ == "softmax"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_file_is_loaded_whole_and_each_weight_equals(name, tmp_path):
    arrays = random_arrays(SHAPES[name])
    path = write_legacy(tmp_path / "published.h5", arrays)
    base = build_base(get(name), 32, seed=0)
    x = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    before = np.asarray(base(x))
    assert load_weights(base, get(name), str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not np.allclose(base(x), before)
    set_weights = {f"{layer.name}/{w.name}": w.numpy() for layer in base.layers for w in layer.weights}
    assert len(set_weights) == len(arrays)
    for (layer, weight), array in arrays.items():
        np.testing.assert_array_equal(set_weights[f"{layer.replace('/', '_')}/{weight}"], array)


def reference(arrays, x, *, squeeze, epsilon):
    """VGGFace2's ResNet50 or SENet50 written once more, straight from the arrays under their published names."""

    def convolution(x, name, strides=1):
        x = ops.conv(x, arrays[name, "kernel"], strides=strides, padding="same")
        mean, variance = arrays[f"{name}/bn", "moving_mean"], arrays[f"{name}/bn", "moving_variance"]
        return (x - mean) / np.sqrt(variance + epsilon) * arrays[f"{name}/bn", "gamma"] + arrays[f"{name}/bn", "beta"]

    def excited(y, name):
        mean = ops.mean(y, axis=(1, 2))
        down = ops.relu(mean @ arrays[f"{name}_1x1_down", "kernel"][0, 0] + arrays[f"{name}_1x1_down", "bias"])
        up = ops.sigmoid(down @ arrays[f"{name}_1x1_up", "kernel"][0, 0] + arrays[f"{name}_1x1_up", "bias"])
        return y * up[:, None, None, :]

    x = x[..., ::-1] - np.array([91.4953, 103.8827, 131.0912], dtype="float32")
    x = ops.max_pool(ops.relu(convolution(x, "conv1/7x7_s2", 2)), 3, strides=2, padding="valid")
    for stage, _, blocks, _ in STAGES:
        for block in range(1, blocks + 1):
            name, strides = f"conv{stage}_{block}", 2 if stage > 2 and block == 1 else 1
            y = ops.relu(convolution(x, f"{name}_1x1_reduce", strides))
            y = ops.relu(convolution(y, f"{name}_3x3"))
            y = convolution(y, f"{name}_1x1_increase")
            y = excited(y, name) if squeeze else y
            x = convolution(x, f"{name}_1x1_proj", strides) if block == 1 else x
            x = ops.relu(x + y)
    return np.asarray(x)


@pytest.mark.parametrize(("name", "epsilon"), [("senet50", 1e-4), ("vggface_resnet50", 1e-3)])
def test_loaded_networks_agree_with_an_independent_forward_pass(name, epsilon, tmp_path):
    arrays = random_arrays(SHAPES[name])
    for key in arrays:
        if key[1] == "moving_variance":
            # Near to epsilon, so that a wrong epsilon shows.
            arrays[key] = np.full_like(arrays[key], 0.01)
        if key[1] == "kernel":
            arrays[key] = arrays[key] * 0.1
    base = build_base(get(name), 64, seed=0)
    load_file(base, write_legacy(tmp_path / "published.h5", arrays))
    x = np.random.default_rng(2).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    expected = reference(arrays, x, squeeze=name == "senet50", epsilon=epsilon)
    other = reference(arrays, x, squeeze=name == "senet50", epsilon=1e-5)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(base(x)) / scale, expected / scale, atol=1e-5)
    assert np.abs(other - expected).max() / scale > 1e-3


def test_a_whole_model_file_with_its_classifier_is_read_and_the_classifier_left_out(senet, tmp_path):
    base, _, arrays = senet
    top = {("classifier", "kernel"): np.ones((4, 2)), ("classifier", "bias"): np.ones(2)}
    load_file(base, write_legacy(tmp_path / "whole.h5", arrays | top, root="model_weights"))
    np.testing.assert_array_equal(base.get_layer("conv5_3_1x1_up").bias.numpy(), arrays["conv5_3_1x1_up", "bias"])


def relisted(file, *, without=None, more=()):
    kept_names = [str(name) for name in file.attrs["layer_names"].astype(str) if name != without]
    file.attrs["layer_names"] = [name.encode() for name in [*kept_names, *more]]


def reshaped(file):
    del file["conv3_1_3x3/conv3_1_3x3/kernel:0"]
    file["conv3_1_3x3/conv3_1_3x3/kernel:0"] = np.zeros((1, 1, 128, 128))


def renamed(file):
    file["convolution"] = file["conv3_1_3x3"]
    relisted(file, without="conv3_1_3x3", more=["convolution"])


def unfinite(file):
    file["conv2_1_1x1_reduce/bn/conv2_1_1x1_reduce/bn/gamma:0"][3] = np.nan


def extra(file):
    file["conv9"] = file["conv3_1_3x3"]
    relisted(file, more=["conv9"])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda file: relisted(file, without="conv4_2_3x3/bn"), r"4 missing from the file: conv4_2_3x3_bn/gamma, "),
        (reshaped, r"1 of another shape: conv3_1_3x3/kernel \(\(1, 1, 128, 128\) in the file, \(3, 3, 128, 128\)"),
        (renamed, r"1 missing from the file: conv3_1_3x3/kernel; 1 in the file, unknown .*: convolution/kernel"),
        (extra, r"1 in the file, unknown to the network: conv9/kernel"),
        (unfinite, r"1 not finite: conv2_1_1x1_reduce_bn/gamma"),
    ],
    ids=["a BN missing", "a wrong shape", "a layer renamed", "a layer too many", "a NaN"],
)
def test_a_file_that_does_not_fit_changes_nothing_and_says_why(senet, kept, tmp_path, spoil, told):
    base = senet[0]
    before = [weight.numpy() for weight in base.weights]
    with pytest.raises(InputError, match=told) as caught:
        load_file(base, kept(tmp_path, spoil))
    assert str(tmp_path / "spoiled.h5") in str(caught.value)
    assert all(np.array_equal(new.numpy(), old) for new, old in zip(base.weights, before, strict=True))


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", None], ids=["empty", "a web page", "cut off"])
def test_a_file_that_cannot_be_read_is_refused_by_its_path(suffix, content, tmp_path):
    model = build_model("ncnn", n_outputs=2).model
    path = tmp_path / f"file{suffix}"
    if content is None:
        whole = tmp_path / f"whole{'.keras' if suffix == '.keras' else '.weights.h5'}"
        model.save(whole) if suffix == ".keras" else model.save_weights(whole)
        content = whole.read_bytes()[:-2000]
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"file{suffix} cannot be read"):
        build_model("ncnn", n_outputs=2, weights=str(path))


def test_an_hdf5_file_that_holds_no_weights_is_refused(tmp_path):
    with h5py.File(tmp_path / "features.h5", "w") as file:
        file["features"] = np.zeros(3)
    with pytest.raises(InputError, match=r"features\.h5 cannot be read"):
        build_model("ncnn", n_outputs=2, weights=str(tmp_path / "features.h5"))


def elsewhere(group, secret):
    """Let the first array lie in a file of this machine."""
    shape = group["0"].shape
    del group["0"]
    group.create_dataset("0", shape, "float32", external=[(str(secret), 0, 4 * np.prod(shape))])


def linked(group, secret):
    """Let the first array be one of another HDF5 file."""
    with h5py.File(secret, "w") as other:
        other["0"] = np.ones(group["0"].shape)
    del group["0"]
    group["0"] = h5py.ExternalLink(str(secret), "0")


def mapped(group, secret):
    """Let the first array be made of parts of another HDF5 file."""
    shape = group["0"].shape
    with h5py.File(secret, "w") as other:
        other["0"] = np.ones(shape)
    layout = h5py.VirtualLayout(shape, "float32")
    layout[:] = h5py.VirtualSource(str(secret), "0", shape)
    del group["0"]
    group.create_virtual_dataset("0", layout)


@pytest.mark.parametrize("draw_in", [elsewhere, linked, mapped])
def test_a_weight_file_hands_out_no_other_file_of_the_machine(tmp_path, draw_in):
    path, secret = tmp_path / "given.weights.h5", tmp_path / "secret"
    secret.write_bytes(np.full(10_000, 0.25, "float32").tobytes())
    build_model("ncnn", n_outputs=2).model.save_weights(path)
    with h5py.File(path, "r+") as file:
        draw_in(next(layer["vars"] for layer in file["layers"].values() if "0" in layer["vars"]), secret)
    with pytest.raises(InputError, match=r"given\.weights\.h5 cannot be read .*lies in another file"):
        build_model("ncnn", n_outputs=2, weights=str(path))


def test_a_weight_file_that_unfolds_beyond_measure_is_not_unfolded(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(20_000_000))
    with pytest.raises(InputError, match=r"bomb\.keras cannot be read .*unfolds to 20 MB"):
        build_model("ncnn", n_outputs=2, weights=str(path))


@pytest.mark.parametrize("file", ["model.keras", "model.weights.h5"])
def test_a_model_of_ones_own_gives_its_base_and_keeps_its_head(file, tmp_path):
    first = build_model("ncnn", n_outputs=2, base_seed=1).model
    path = tmp_path / file
    first.save(path) if path.suffix == ".keras" else first.save_weights(path)
    second = build_model("ncnn", n_outputs=5, base_seed=2, weights=str(path))
    for layer in ("centre_conv_1", "centre_conv_2", "right_conv", "conv_2x2_"):
        for old, new in zip(first.get_layer(layer).weights, second.model.get_layer(layer).weights, strict=True):
            np.testing.assert_array_equal(new.numpy(), old.numpy())
    assert second.model.output.shape == (None, 5)
    assert second.weights_digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_of_another_backbone_is_refused(tmp_path):
    build_model("vggface_vgg16", n_outputs=2, size=32).model.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(InputError, match=r"26 missing from the file: block1_conv1/0.*26 in the file, unknown"):
        build_model("vgg16", n_outputs=2, size=32, weights=str(tmp_path / "other.weights.h5"))


@pytest.mark.parametrize("file", ["rcmalli_vggface_tf_notop_senet50.h5", "rcmalli_vggface_tf_senet50.h5"])
def test_published_files_are_found_in_keras_folder(file, senet, offline):
    base, path, arrays = senet
    base.get_layer("conv1_7x7_s2").kernel.assign(np.zeros((7, 7, 3, 64)))
    (offline / "vggface").mkdir(parents=True)
    shutil.copy(path, offline / "vggface" / file)
    load_weights(base, get("senet50"), "vggface")
    np.testing.assert_array_equal(base.get_layer("conv1_7x7_s2").kernel.numpy(), arrays["conv1/7x7_s2", "kernel"])


def test_without_a_network_the_missing_vggface_file_and_its_folder_are_named(senet, offline, capsys):
    with pytest.raises(InputError, match=r"rcmalli_vggface_tf_notop_senet50\.h5") as caught:
        load_weights(senet[0], get("senet50"), "vggface")
    assert str(offline / "vggface") in str(caught.value)
    assert not list((offline / "vggface").glob("*.h5*"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("inceptionresnetv2", "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ],
)
def test_without_a_network_the_missing_imagenet_file_and_its_folder_are_named(name, file, offline, monkeypatch):
    # Keras reads KERAS_HOME when it is imported.
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(offline.parent))
    with pytest.raises(InputError) as caught:
        load_weights(keras.Sequential(), get(name), "imagenet")
    assert f"The weight file {file} is not whole in {offline}" in str(caught.value)


@pytest.mark.parametrize("name", ["vgg16", "inceptionv3"])
def test_imagenet_weights_come_from_keras_own_loader(name, offline, tmp_path, monkeypatch):
    trained = application(name, weights=None)
    trained.save(tmp_path / "trained.h5")
    # Stands in for the download alone; the weights go through Keras's loader.
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(tmp_path / "trained.h5"))
    built = build_model(name, n_outputs=2, size=get(name).min_size, weights="imagenet")
    names = stable_names(trained)
    checked = 0
    for layer in trained.layers:
        if layer.weights:
            ours = built.model.get_layer(names[layer.name])
            for old, new in zip(layer.weights, ours.weights, strict=True):
                np.testing.assert_array_equal(new.numpy(), old.numpy())
            checked += 1
    assert checked == sum(bool(layer.weights) for layer in built.model.layers) - 1
    assert built.weights_digest != build_model(name, n_outputs=2, size=get(name).min_size).weights_digest
