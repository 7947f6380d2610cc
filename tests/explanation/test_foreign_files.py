import json
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from tasks.config import InputError
from tasks.explanation.foreign_files import load_foreign
from tests.support.foreign_models import SIDE, built, images_for


@keras.saving.register_keras_serializable(package="foldcam_tests")
class Own(layers.Layer):
    def call(self, x):
        return 2 * x


def with_layer(layer):
    x = keras.Input((SIDE, SIDE, 3))
    inner = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layer], name="inner")
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(inner(x)))
    return keras.Model(x, layers.Dense(2, activation="softmax")(y))


def with_code():
    return with_layer(layers.Lambda(lambda x: x / 255, output_shape=(SIDE, SIDE, 3), name="scaled"))


@pytest.fixture(scope="module")
def model():
    return built("transfer_learning")


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "model.weights.h5")
    coded = with_code()
    coded.save(folder / "coded.keras")
    coded.save(folder / "coded.h5")
    return folder


@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
def test_a_model_file_is_loaded(model, saved, file):
    images = images_for(model)
    loaded = load_foreign(saved / file)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6)
    assert not loaded.compiled


@pytest.mark.parametrize("file", ["coded.keras", "coded.h5"])
def test_code_is_refused_unless_it_is_trusted(saved, file):
    with pytest.raises(InputError, match="`scaled`") as caught:
        load_foreign(saved / file)
    assert "--trust" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert load_foreign(saved / file, trust=True).output_shape == (None, 2)


def test_code_as_keras_2_wrote_it_is_refused(saved, tmp_path):
    file = tmp_path / "old.h5"
    file.write_bytes((saved / "coded.h5").read_bytes())
    with h5py.File(file, "r+") as stored:
        config = json.loads(stored.attrs["model_config"])
        sequential = next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == "inner")
        own = next(layer for layer in sequential["config"]["layers"] if layer["config"]["name"] == "scaled")
        own["config"] |= {"function": ["4wEAAAA=", None, None], "function_type": "lambda"}
        stored.attrs["model_config"] = json.dumps(config)
    with pytest.raises(InputError, match="`scaled`"):
        load_foreign(file)
    with pytest.raises(InputError, match="cannot be loaded"):
        load_foreign(file, trust=True)


def test_code_does_not_run_when_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.saving.load_model", None)
    with_code().save(tmp_path / "model.keras")
    with pytest.raises(InputError, match="would run code"):
        load_foreign(tmp_path / "model.keras")


def test_a_layer_of_the_authors_own_is_named(tmp_path):
    file = tmp_path / "model.keras"
    with_layer(Own()).save(file)
    assert load_foreign(file).count_params() > 0
    registered = keras.saving.get_custom_objects()
    key = "foldcam_tests>Own"
    kept = registered.pop(key)
    source = zipfile.ZipFile(file)
    renamed = tmp_path / "renamed.keras"
    with source, zipfile.ZipFile(renamed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                content = content.replace(b"test_foreign_files", b"their_layers").replace(b'"Own"', b'"Theirs"')
                content = content.replace(b"foldcam_tests>Own", b"theirs>Theirs")
            target.writestr(name, content)
    try:
        with pytest.raises(InputError, match="`Theirs`, which is not a part of Keras"):
            load_foreign(renamed)
    finally:
        registered[key] = kept


def truncated(saved, folder, file="model.keras"):
    whole = (saved / file).read_bytes()
    broken = folder / file
    broken.write_bytes(whole[: len(whole) // 2])
    return broken


def flipped(saved, folder):
    whole = bytearray((saved / "model.keras").read_bytes())
    middle = whole.index(b"model.weights.h5") + 3000
    whole[middle : middle + 64] = bytes(byte ^ 255 for byte in whole[middle : middle + 64])
    (folder / "flipped.keras").write_bytes(bytes(whole))
    return folder / "flipped.keras"


def other_zip(saved, folder):
    with zipfile.ZipFile(folder / "other.keras", "w") as archive:
        archive.writestr("readme.txt", "no model")
    return folder / "other.keras"


def bad_json(saved, folder):
    with zipfile.ZipFile(folder / "bad.keras", "w") as archive:
        archive.writestr("config.json", "{not json")
    return folder / "bad.keras"


def no_config(saved, folder):
    with h5py.File(folder / "plain.h5", "w") as file:
        file["x"] = [1]
    return folder / "plain.h5"


def written(name, content):
    def write(saved, folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


def single_layer(saved, folder):
    layer = layers.Dense(2)
    layer.build((None, 3))
    keras.saving.save_model(layer, folder / "layer.keras")
    return folder / "layer.keras"


def diverged(saved, folder):
    model = built("transfer_learning")
    kernel = model.layers[-1].kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    model.save(folder / "diverged.keras")
    return folder / "diverged.keras"


def bomb(saved, folder):
    with zipfile.ZipFile(folder / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(20_000_000))
    return folder / "bomb.keras"


def drawn_in(saved, folder):
    file = shutil.copy(saved / "model.h5", folder / "drawn.h5")
    (folder / "secret").write_bytes(bytes(10_000))
    with h5py.File(file, "r+") as stored:
        names = []
        stored.visititems(lambda name, found: names.append(name) if isinstance(found, h5py.Dataset) else None)
        shape = stored[names[0]].shape
        del stored[names[0]]
        stored.create_dataset(names[0], shape, "float32", external=[(str(folder / "secret"), 0, 4 * np.prod(shape))])
    return folder / "drawn.h5"


def absent(saved, folder):
    return folder / "none.keras"


def folder_itself(saved, folder):
    return folder


def weights_alone(saved, folder):
    return saved / "model.weights.h5"


WRONG = {
    "not there": (absent, "There is no model file"),
    "a folder": (folder_itself, "SavedModel"),
    "another ending": (written("model.pt", b"x"), "neither .keras nor .h5"),
    "weights alone": (weights_alone, "weights alone"),
    "cut off": (truncated, "damaged"),
    "cut off, HDF5": (lambda saved, folder: truncated(saved, folder, "model.h5"), "damaged|cannot be loaded"),
    "a flipped run of bytes": (flipped, "cannot be loaded|damaged"),
    "another zip": (other_zip, "damaged, or not a .keras file"),
    "no JSON": (bad_json, "damaged"),
    "another HDF5": (no_config, "weights alone"),
    "text": (written("model.keras", b"hello"), "damaged, or not a .keras file"),
    "empty": (written("model.h5", b""), "damaged, or not a .h5 file"),
    "a picture": (written("model.h5", b"\x89PNG" + bytes(100)), "damaged, or not a .h5 file"),
    "a bomb": (bomb, "unfolds to 20 MB"),
    "another file's bytes for weights": (drawn_in, "lies in another file"),
    "a layer": (single_layer, "single layer"),
    "not finite": (diverged, "not all finite"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_in_one_plain_paragraph(name, saved, tmp_path):
    make, told = WRONG[name]
    with pytest.raises(InputError, match=told) as caught:
        load_foreign(make(saved, tmp_path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
