from __future__ import annotations

import json
import shutil

import h5py
import keras
import numpy as np
import pytest

from tasks.backbones.applications import CONSTRUCTORS
from tasks.backbones.build import build_model
from tasks.backbones.imagenet_classes import imagenet_classes
from tasks.backbones.pretrained import build_pretrained
from tasks.backbones.registry import get_with_classifier
from tasks.config import Head, InputError
from tests.support.imagenet import write_class_index, write_network


@pytest.fixture(scope="module")
def densenet(tmp_path_factory):
    """Keras's own DenseNet121 with its classifier, and the file of its weights."""
    file = tmp_path_factory.mktemp("densenet") / "densenet121.h5"
    return write_network("DenseNet121", file), file


@pytest.fixture(scope="module")
def from_file(densenet):
    """The network that is built from this file."""
    return build_pretrained("densenet121", weights=str(densenet[1]))


@pytest.fixture
def keras_folder(tmp_path, monkeypatch):
    """An empty Keras folder and a network in which nothing answers."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))  # read when Keras is imported
    return tmp_path / "models"


@pytest.mark.parametrize("source", ["imagenet", "a file"])
def test_the_whole_network_is_one_flat_model_that_says_what_keras_own_says(densenet, from_file, source, monkeypatch):
    network, file = densenet
    # Stands in for the download alone; the weights go through Keras's loader.
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(file))
    built = build_pretrained("densenet121") if source == "imagenet" else from_file
    images = np.random.default_rng(3).uniform(0, 255, (2, 224, 224, 3)).astype(np.float32)
    expected = network.predict(keras.applications.densenet.preprocess_input(images.copy()), verbose=0)
    logits = keras.Model(built.model.input, built.model.get_layer("logits").output).predict(images, verbose=0)
    assert expected.max() > 0.05
    np.testing.assert_allclose(built.model.predict(images, verbose=0), expected, atol=1e-5)
    below_the_first = np.log(expected / expected.max(axis=1, keepdims=True))
    np.testing.assert_allclose(logits - logits.max(axis=1, keepdims=True), below_the_first, atol=1e-3)
    assert [layer.name for layer in built.model.layers[-2:]] == ["logits", "probabilities"]
    assert built.model.get_layer(built.cam_layer).output.shape == (None, 7, 7, 1024)
    assert not any(isinstance(layer, keras.Model) for layer in built.model.layers)
    assert built.model.trainable_variables == []


def with_bias(file, copy, value):
    """Copy a file of weights, with another value in one place of the classifier's bias."""
    shutil.copy(file, copy)
    with h5py.File(copy, "r+") as store:
        weights = store["predictions"]
        [name] = [name for name in weights.attrs["weight_names"] if "bias" in str(name)]
        weights[name][5] = value
    return copy


def test_another_file_has_another_digest_and_the_same_file_the_same(densenet, from_file, tmp_path):
    other = with_bias(densenet[1], tmp_path / "other.h5", 0.5)
    digests = [build_pretrained("densenet121", weights=str(file)).weights_digest for file in (densenet[1], other)]
    assert digests[0] == from_file.weights_digest != digests[1]


def test_weights_that_are_not_finite_are_refused(densenet, tmp_path):
    spoiled = with_bias(densenet[1], tmp_path / "spoiled.h5", np.nan)
    with pytest.raises(InputError, match=r"not all finite \(logits/bias\)"):
        build_pretrained("densenet121", weights=str(spoiled))


@pytest.mark.parametrize("name", ["file.h5", "file.weights.h5"])
@pytest.mark.parametrize("content", ["without a top", "no weights"])
def test_a_file_without_the_classifier_is_refused_by_its_path(densenet, tmp_path, name, content):
    path = tmp_path / name
    if content == "without a top":
        features = keras.Model(densenet[0].input, densenet[0].get_layer("relu").output)
        features.save(path) if name == "file.h5" else features.save_weights(path)
    else:
        path.write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match=r"does not fit the backbone densenet121|cannot be read") as caught:
        build_pretrained("densenet121", weights=str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["densenet121", "xception"])
def test_without_a_network_the_missing_file_is_named_as_keras_calls_it(name, keras_folder):
    with pytest.raises(InputError) as caught:
        build_pretrained(name)
    file = f"{name}_weights_tf_dim_ordering_tf_kernels.h5"
    assert f"The weight file {file} is not whole in {keras_folder}" in str(caught.value)
    assert str(caught.value).count(file) == 2  # Keras names it too


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("ncnn", "imagenet", None), "no classifier of ImageNet's classes.*vgg16, xception"),
        (("senet50", "vggface", None), "no classifier of ImageNet's classes"),
        (("vgg16", "imagenet", 96), "takes images of 224 pixels, not 96"),
        (("vgg16", "vggface", None), "needs the weights `imagenet`, or the path"),
        (("vgg61", "imagenet", None), "Unknown backbone.*nearest: vgg16"),
    ],
)
def test_what_has_no_such_classifier_is_refused_before_anything_is_built(arguments, told):
    with pytest.raises(InputError, match=told):
        get_with_classifier(*arguments)


def test_every_network_that_keras_ships_may_keep_its_classifier():
    for name in CONSTRUCTORS:
        assert get_with_classifier(name, "imagenet", None).weight_sources["imagenet"]


def test_the_pretrained_head_is_none_that_is_built_for_training():
    with pytest.raises(ValueError, match="build_pretrained"):
        build_model("ncnn", n_outputs=2, head=Head(kind="pretrained"))


def test_classes_are_named_by_name_or_synset(keras_folder):
    write_class_index(keras_folder.parent)
    classes = imagenet_classes()
    found = classes.numbers(["tabby", "golden retriever", "african_Elephant", "n02012849", "TABBY"])
    assert found == [281, 207, 386, 134]
    with pytest.raises(InputError, match=r"2 classes are called 'crane': n02012849 and n03126707"):
        classes.numbers(["tabby", "crane"])
    with pytest.raises(InputError, match=r"none called 'zebras'\. The nearest: zebra\."):
        classes.numbers(["zebras"])


def test_without_a_network_the_missing_class_index_and_its_folder_are_named(keras_folder):
    with pytest.raises(InputError, match=r"The class index imagenet_class_index\.json is not whole in") as caught:
        imagenet_classes()
    assert str(keras_folder) in str(caught.value)
    assert "weights: none" not in str(caught.value)


@pytest.mark.parametrize("spoil", [lambda index: index.pop("999"), lambda index: index.update({"7": "cock"})])
def test_a_damaged_class_index_is_refused(keras_folder, spoil):
    file = write_class_index(keras_folder.parent)
    index = json.loads(file.read_text(encoding="utf-8"))
    spoil(index)
    file.write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(InputError, match=r"imagenet_class_index\.json is damaged"):
        imagenet_classes()
