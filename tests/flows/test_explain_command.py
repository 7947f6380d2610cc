"""`foldcam explain` on model files of anyone's, on bare backbones, and on what cannot be explained."""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flows.explain_images import explain_images
from tasks.backbones.spec import SPECS
from tasks.config import InputError
from tasks.explanation.methods import METHODS, get
from tasks.explanation.said import Said
from tests.support.command import foldcam
from tests.support.foreign_models import MODELS, PLAIN_LOGITS, built
from tests.support.imagenet import NAMED, write_class_index, write_network
from tests.support.images import picture, write_classes
from tests.support.studio import COMMAND, one_json

CHEAP = ["rise.n_masks=6", "rise.cells=3", "smoothgrad.n_samples=2", "integrated_gradients.steps=4"]
CHEAP += ["occlusion.patch=8", "occlusion.stride=8", "scorecam.max_channels=2"]
CHEAP_OCCLUSION = ["--set", "occlusion.patch=8", "--set", "occlusion.stride=8"]
MEASURES = ["faithfulness", "faithfulness_random", "faithfulness_gaussian"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images of two sizes in folders, and model files as the Keras tutorials make them."""
    folder = tmp_path_factory.mktemp("explain")
    write_classes(folder / "images", {"a": 2}, size=(30, 44))
    write_classes(folder / "images" / "deeper", {"b c": 1}, size=(21, 20))
    for name in MODELS:
        built(name).save(folder / f"{name}.keras")
    built("transfer_learning").save(folder / "old.h5")
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def explained(*arguments):
    """Run the command in this process; it must succeed."""
    answer = foldcam("explain", *arguments, "--json")
    assert answer.code == 0, answer.err
    return one_json(answer.out)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_file_of_each_kind_that_tutorials_build_is_explained(here, tmp_path, name):
    more = ["--activation", "softmax"] if name == "image_classification" else []
    more += ["--method", "saliency"] if name == "one_backbone_twice" else []  # no layer is crossed by all paths
    said = explained("images/a", "--model", f"{name}.keras", "--out", tmp_path / "out", "--faithfulness", "0", *more)
    model = keras.saving.load_model(here / f"{name}.keras", compile=False)
    height, width, channels = model.inputs[0].shape[1:]
    for row in said["explanations"]:
        shrunk = Image.open(row["image"]).resize((width, height), Image.Resampling.BILINEAR)
        image = np.asarray(shrunk, np.float32)[None]
        if channels == 1:
            image = np.asarray(keras.ops.image.rgb_to_grayscale(image))
        raw = keras.tree.flatten(model(image, training=False))[0].numpy()[0].astype(float)
        if name in PLAIN_LOGITS:
            raw = 1 / (1 + np.exp(-raw)) if len(raw) == 1 else np.exp(raw) / np.exp(raw).sum()
        chances = [1 - raw[0], raw[0]] if len(raw) == 1 else raw
        number = int(row["target"].removeprefix("class "))
        assert row["probability"] == pytest.approx(chances[number], abs=1e-5)
        assert row["rank"] == 1 or chances[number] >= 0.5
        if name != "from_scratch":  # where every sigmoid that reaches its threshold is explained
            assert number == int(np.argmax(chances))


def test_the_real_command_explains_a_nested_file_in_a_process_of_its_own(place, tmp_path):
    out = tmp_path / "new" / "out"
    command = [*COMMAND, "explain", "images", "--model", "transfer_learning.keras", "--classes", "cat,dog"]
    done = subprocess.run(
        [*command, "--out", str(out), "--method", "gradcam", "--method", "rise", "--set", "rise.n_masks=20", "--json"],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said) == {"model", "out", "explanations", "warnings"}
    assert [row["image"] for row in said["explanations"]] == [
        name for name in ("images/a/000.png", "images/a/001.png", "images/deeper/b c/000.png") for _ in range(2)
    ]
    table = pd.read_csv(out / "explanations.csv")
    assert table[["target", "method"]].to_dict("records") == [
        {name: row[name] for name in ("target", "method")} for row in said["explanations"]
    ]
    assert np.isfinite(table[MEASURES].to_numpy()).all()
    assert sorted(entry.name for entry in out.iterdir()) == [
        *("explanations.csv", "explanations.html", "figures", "maps", "overlays"),
    ]
    for row in said["explanations"]:
        size = Image.open(place / row["image"]).size
        assert Image.open(out / row["overlay"]).size == size
        heat = np.load(out / row["map"])
        assert heat.shape == size[::-1]
        assert heat.dtype == np.float32
        assert (out / row["figure"]).is_file()
    assert "WARNING" not in done.stderr


def test_each_method_gives_its_map_in_the_images_size(here, tmp_path):
    settings = [part for text in CHEAP for part in ("--set", text)]
    methods = [part for name in METHODS for part in ("--method", name)]
    arguments = ["images/a/000.png", "--model", "sequential_in_sequential.keras", "--out", tmp_path / "out"]
    said = explained(*arguments, *methods, *settings, "--faithfulness", "100")
    rows = said["explanations"]
    assert [row["method"] for row in rows] == list(METHODS)
    for row in rows:
        heat = np.load(tmp_path / "out" / row["map"])
        assert heat.shape == (30, 44)
        assert np.ptp(heat) > 0
        assert row["layer"].endswith("block") == get(row["method"]).needs_layer
        assert all(np.isfinite(row[name]) for name in MEASURES)
        alone = row["method"] == "integrated_gradients"
        assert (row["steps"], row["baseline"]) == ((4, "black") if alone else (None, None))
        assert (row["gap"] is not None) == alone
    failing = [warning for warning in said["warnings"] if "sanity" in warning]
    assert [text.partition(" fails")[0] for text in failing] == ["Eigen-CAM", "Guided back-propagation"]
    assert list((tmp_path / "out" / "figures" / "integrated_gradients" / "000").glob("*.png"))


def test_the_same_call_writes_the_same_files_to_the_byte(here, tmp_path):
    for out in ("one", "two"):
        explained(
            *("images", "--model", "sequential_in_sequential.keras", "--out", tmp_path / out, "--top", "2"),
            *(
                "--method",
                "gradcam",
                "--method",
                "smoothgrad",
                "--set",
                "smoothgrad.n_samples=3",
                "--feature-maps",
                "2",
            ),
        )
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    same, other, gone = filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", files, shallow=False)
    assert (other, gone) == ([], [])
    assert len(same) == 3 * (2 * 2 * 2 + 1 + 2) + 2


def test_several_layers_are_mapped_at_once_and_told_apart(here, tmp_path):
    more = ["--layer", "auto", "--layer", "block_6_expand_relu", "--faithfulness", "0"]
    said = explained("images/a/000.png", "--model", "mobile_net.keras", "--out", tmp_path / "out", *more)
    assert [row["layer"] for row in said["explanations"]] == ["block_6_expand_relu", "block_13_expand_relu"]
    maps = [np.load(tmp_path / "out" / row["map"]) for row in said["explanations"]]
    assert not np.array_equal(*maps)


def test_the_difference_of_two_classes_is_their_logits_difference(here, tmp_path):
    common = ["images/a", "--model", "sequential_in_sequential.keras", "--method", "saliency", "--faithfulness", "9"]
    said = explained(*common, "--class", "Class_2", "--against", "class 0", "--out", tmp_path / "difference")
    flipped = explained(*common, "--class", "class 0", "--against", "class 2", "--out", tmp_path / "flipped")
    assert {row["target"] for row in said["explanations"]} == {"class 2, not class 0"}
    for one, other in zip(said["explanations"], flipped["explanations"], strict=True):
        maps = [np.load(tmp_path / "difference" / one["map"]), np.load(tmp_path / "flipped" / other["map"])]
        np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)  # saliency has no sign
        assert one["faithfulness"] == pytest.approx(-other["faithfulness"], abs=1e-4)


def test_every_label_that_reaches_its_threshold_is_explained_and_else_the_nearest(here, tmp_path):
    image = "images/a/000.png"
    common = [image, "--model", "from_scratch.keras", "--classes", "x,y,z", "--faithfulness", "0"]
    every = explained(*common, "--top", "3", "--out", tmp_path / "every")
    chances = {row["target"]: row["probability"] for row in every["explanations"]}
    ordered = sorted(chances, key=lambda name: -chances[name])
    between = (chances[ordered[1]] + chances[ordered[2]]) / 2
    two = explained(*common, "--thresholds", str(between), "--out", tmp_path / "two")
    assert {row["target"] for row in two["explanations"]} == set(ordered[:2])
    assert set(two["explanations"][0]["predicted"].split(", ")) == set(ordered[:2])
    none = explained(*common, "--thresholds", "1", "--out", tmp_path / "none")
    assert [row["target"] for row in none["explanations"]] == ordered[:1]
    own = ",".join("0" if name == ordered[2] else "1" for name in "xyz")
    one = explained(*common, "--thresholds", own, "--out", tmp_path / "one")
    assert [row["target"] for row in one["explanations"]] == [ordered[2]]


def test_sigmoids_can_be_grades(here, tmp_path):
    common = ["images/a/000.png", "--model", "from_scratch.keras", "--faithfulness", "0"]
    said = explained(*common, "--ordinal", "--classes", "none,mild,severe", "--top", "3", "--out", tmp_path / "out")
    assert sum(row["probability"] for row in said["explanations"]) == pytest.approx(1)
    raw = keras.saving.load_model(here / "from_scratch.keras")
    shrunk = Image.open("images/a/000.png").resize((16, 16), Image.Resampling.BILINEAR)
    reached = raw(np.asarray(shrunk, np.float32)[None], training=False).numpy()[0]
    grade = 0 if reached[1] <= 0.5 else 1 if min(reached[1:]) <= 0.5 else 2
    assert said["explanations"][0]["predicted"] == ("none", "mild", "severe")[grade]


def test_a_model_of_any_height_and_width_is_explained(here, tmp_path):
    x = keras.Input((20, 34, 3))
    y = keras.layers.Conv2D(3, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(x))
    y = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(y))
    keras.Model(x, y).save(tmp_path / "wide.keras")
    said = explained("images/a/000.png", "--model", tmp_path / "wide.keras", "--out", tmp_path / "out")
    assert np.load(tmp_path / "out" / said["explanations"][0]["map"]).shape == (30, 44)
    more = ["--model", tmp_path / "wide.keras", "--out", tmp_path / "other", "--resize", "pad"]
    assert "20 × 34" in foldcam("explain", "images/a/000.png", *more).refused()


def test_no_model_is_prepared_by_a_guess(here, tmp_path):
    keras.utils.set_random_seed(6)
    x = keras.Input((16, 16, 3))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3)(x))
    small = keras.initializers.RandomNormal(stddev=0.001)
    keras.Model(x, keras.layers.Dense(2, activation="softmax", kernel_initializer=small)(y)).save(
        tmp_path / "bare.keras"
    )
    common = ["explain", "images/a/000.png", "--model", tmp_path / "bare.keras", "--faithfulness", "0", "--json"]
    assert "with --preprocessing" in foldcam(*common, "--out", tmp_path / "none").refused()
    file = tmp_path / "own.yaml"
    vgg = SPECS["vgg16"].preprocessing
    file.write_text(f"channel_order: bgr\nscale: {list(vgg.scale)}\noffset: {list(vgg.offset)}\n", encoding="utf-8")
    by = {}
    for how in ("model", "vgg16", str(file)):
        answer = foldcam(*common, "--preprocessing", how, "--out", tmp_path / Path(how).name.replace(".", "-"))
        assert answer.code == 0, answer.err
        by[how] = one_json(answer.out)["explanations"][0]["probability"]
    assert by["vgg16"] == by[str(file)] != by["model"]


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A folder of Keras's with the class index, and the weights of a whole network as Keras 2 published them."""
    folder = tmp_path_factory.mktemp("imagenet")
    write_class_index(folder)
    write_network("DenseNet121", folder / "densenet121.h5")
    Image.fromarray(picture(1, 5, (90, 120))).save(folder / "cat.jpg")
    return folder


def test_a_bare_backbone_is_explained_with_imagenets_classes(imagenet, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(imagenet))
    more = ["--top", "3", "--class", "tabby", "--class", "n02012849", "--faithfulness", "0"]
    weights = ["--weights", imagenet / "densenet121.h5", "--out", tmp_path / "out"]
    said = explained(imagenet / "cat.jpg", "--model", "densenet121", *weights, *more)
    rows = said["explanations"]
    assert [row["rank"] for row in rows[:3]] == [1, 2, 3]
    assert [row["target"] for row in rows[3:]] == ["tabby", "crane (n02012849)"]
    assert len({row["overlay"] for row in rows}) == 5
    assert {row["layer"] for row in rows} == {SPECS["densenet121"].cam_layer}
    figure = Image.open(tmp_path / "out" / rows[0]["figure"])
    assert figure.width > 3 * 240


def test_a_file_with_1000_outputs_has_imagenets_class_names_where_their_index_is(imagenet, here, tmp_path, monkeypatch):
    x = keras.Input((16, 16, 3))
    y = keras.layers.Conv2D(3, 3)(keras.layers.Rescaling(1 / 255)(x))
    y = keras.layers.Dense(1000, activation="softmax")(keras.layers.GlobalAveragePooling2D()(y))
    keras.Model(x, y).save(tmp_path / "thousand.keras")
    common = ["images/a/000.png", "--model", tmp_path / "thousand.keras", "--faithfulness", "0"]
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    plain = explained(*common, "--class", "class 281", "--out", tmp_path / "plain")
    assert "imagenet_class_index.json" in plain["warnings"][0]
    monkeypatch.setenv("KERAS_HOME", str(imagenet))
    named = explained(*common, "--class", "tabby", "--out", tmp_path / "named")
    assert "ImageNet" in named["warnings"][0]
    assert named["explanations"][0]["probability"] == plain["explanations"][0]["probability"]
    message = foldcam("explain", *common, "--class", "crane", "--out", tmp_path / "other").refused()
    assert "n02012849 and n03126707" in message
    assert NAMED[134][1] == "crane"


def test_several_maps_of_one_image_are_no_several_images(here, tmp_path):
    common = ["images/a", "--model", "from_scratch.keras", "--top", "3", "--layer", "auto"]
    said = explained(*common, "--out", tmp_path / "all")
    assert [row["faithfulness"] is not None for row in said["explanations"]] == 6 * [True]
    assert any("on 2 images: too few to tell" in warning for warning in said["warnings"])
    assert not any("no more faithful" in warning for warning in said["warnings"])
    said = explained(*common, "--out", tmp_path / "one", "--faithfulness", "1")
    assert [row["faithfulness"] is not None for row in said["explanations"]] == [True, *5 * [False]]
    assert any("first 1 of 6 maps" in warning for warning in said["warnings"])


def test_the_screen_shows_faithfulness_beside_what_controls_reach(here, tmp_path):
    common = ["explain", "images/a/000.png", "--model", "convolution_with_softmax.keras"]
    answer = foldcam(*common, "--out", tmp_path / "some")
    row = pd.read_csv(tmp_path / "some" / "explanations.csv").iloc[0]
    controls = max(row["faithfulness_random"], row["faithfulness_gaussian"])
    assert "controls" in answer.out
    assert f"{round(row['faithfulness'], 3) + 0.0:.3f}" in answer.out
    assert f"{round(controls, 3) + 0.0:.3f}" in answer.out
    assert "controls" not in foldcam(*common, "--out", tmp_path / "none", "--faithfulness", "0").out


def test_a_network_without_places_is_explained_by_what_needs_no_layer(here, tmp_path):
    parts = [keras.Input((16, 16, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    keras.Sequential([*parts, keras.layers.Dense(3, activation="softmax")]).save(tmp_path / "dense.keras")
    common = ["images/a/000.png", "--model", tmp_path / "dense.keras", "--out", tmp_path / "out"]
    assert "a method that needs none" in foldcam("explain", *common).refused()
    said = explained(*common, "--method", "saliency", "--method", "occlusion", *CHEAP_OCCLUSION)
    assert [row["layer"] for row in said["explanations"]] == ["", ""]
    assert all(np.load(tmp_path / "out" / row["map"]).any() for row in said["explanations"])


def test_methods_that_fail_sanity_checks_are_marked_in_the_figure(here, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "tasks.explanation.explained_files.panel_figure", lambda panels, **_: drawn.extend(panels) or blank()
    )
    methods = ["gradcam", "eigencam", "guided"]
    explain_images(
        "images/a/000.png", "sequential_in_sequential.keras", out=tmp_path / "out", methods=methods, faithfulness=0
    )
    assert ["fails sanity checks" in panel.note for panel in drawn] == [False, False, True, True]


def blank():
    return Image.new("RGB", (8, 8))


GOOD = ["images", "--model", "convolution_with_softmax.keras"]
REFUSED = {
    "an image that is missing": (["imges/a/000.png", *GOOD[1:]], "no image imges/a/000.png"),
    "a text called .png": (["images", "text.png", *GOOD[1:]], "text.png"),
    "a folder without images": (["empty", *GOOD[1:]], "holds no image"),
    "an array without a row": (["rows.npy", *GOOD[1:]], "rows.npy#0"),
    "a row that is not there": (["rows.npy#7", *GOOD[1:]], "rows.npy#7"),
    "a model file that is missing": (["images", "--model", "mobil_net.keras"], "mobile_net.keras"),
    "a zip of something": (["images", "--model", "other.keras"], "other.keras"),
    "an image as the model": (["images", "--model", "images/a/000.png"], "neither .keras nor .h5"),
    "a folder as the model": (["images", "--model", "images"], "is a folder"),
    "a model of no name": (["images", "--model", "resnet5"], "Is the backbone resnet50 meant"),
    "a backbone without weights": (["images", "--model", "vgg16"], "--weights"),
    "a backbone without a classifier": (["images", "--model", "ncnn", "--weights", "imagenet"], "no classifier"),
    "weights that are missing": (["images", "--model", "vgg16", "--weights", "v.h5"], "no file v.h5"),
    "weights of a file": ([*GOOD, "--weights", "imagenet"], "--weights"),
    "said of a backbone": (
        ["images", "--model", "densenet121", "--weights", "imagenet", "--size", "64"],
        "--size",
    ),
    "an unknown method": ([*GOOD, "--method", "gradcan"], "Did you mean gradcam"),
    "an unknown layer": ([*GOOD, "--layer", "blok"], "no layer `blok`"),
    "a layer for no method": ([*GOOD, "--layer", "auto", "--method", "rise"], "maps no layer"),
    "an unknown class": ([*GOOD, "--classes", "cat,dog,owl", "--class", "kat"], "The nearest: cat"),
    "a class against itself": ([*GOOD, "--class", "class 0", "--against", "class 0"], "from itself"),
    "against without a class": ([*GOOD, "--against", "class 0"], "--against"),
    "no top": ([*GOOD, "--top", "0"], "--top"),
    "less than no maps": ([*GOOD, "--faithfulness", "-1"], "--faithfulness"),
    "a setting that is not there": ([*GOOD, "--set", "integrated_gradients.step=3"], "Did you mean steps"),
    "a setting out of range": ([*GOOD, "--set", "rise.n_masks=0"], "rise.n_masks"),
    "a setting of training": ([*GOOD, "--set", "training.epochs=3"], "no such key"),
    "a colour map of no name": ([*GOOD, "--set", "colormap=infern"], "inferno"),
    "feature maps of no layer": ([*GOOD, "--feature-maps", "nowhere"], "no layer `nowhere`"),
    "no feature maps": ([*GOOD, "--feature-maps", "0"], "--feature-maps"),
    "too few classes": ([*GOOD, "--classes", "one"], "1 names are given"),
    "a class twice": ([*GOOD, "--classes", "names.txt"], "twice"),
    "preprocessing of no name": ([*GOOD, "--preprocessing", "vgg17"], "nearest is vgg16"),
    "preprocessing that says nothing": ([*GOOD, "--preprocessing", "how.yaml"], "how.yaml"),
    "another activation": ([*GOOD, "--activation", "sigmoid"], "ends in a softmax"),
    "no activation": ([*GOOD, "--activation", "soft"], "softmax?"),
    "another size": ([*GOOD, "--size", "40"], "not 40"),
    "thresholds of classes": ([*GOOD, "--thresholds", "0.3"], "--thresholds"),
    "a threshold beyond 1": ([*GOOD, "--thresholds", "2"], "0 to 1"),
    "grades of a softmax": ([*GOOD, "--ordinal"], "--ordinal"),
    "plain logits": (["images", "--model", "image_classification.keras"], "--activation softmax"),
    "the file of a folder": ([*GOOD, "--out", "names.txt"], "is a file"),
    "a folder in use": ([*GOOD, "--out", "images"], "not empty"),
}


@pytest.fixture(scope="module")
def traps(place):
    """Beside images and models, files that are not what they are called."""
    (place / "text.png").write_text("no picture", encoding="utf-8")
    (place / "empty").mkdir()
    np.save(place / "rows.npy", np.zeros((2, 8, 8, 3), np.uint8))
    with zipfile.ZipFile(place / "other.keras", "w") as archive:
        archive.writestr("readme.txt", "no model")
    (place / "names.txt").write_text("a\na\n", encoding="utf-8")
    (place / "how.yaml").write_text("scale: 3", encoding="utf-8")
    return place


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_explained_is_refused_in_a_paragraph_and_nothing_is_written(traps, what, tmp_path, monkeypatch):
    monkeypatch.chdir(traps)
    arguments, told = REFUSED[what]
    before = sorted(traps.rglob("*"))
    out = [] if "--out" in arguments else ["--out", tmp_path / "new" / "out"]
    message = foldcam("explain", *arguments, *out).refused()
    assert told in message
    assert len(message) > 40
    assert sorted(traps.rglob("*")) == before
    assert not list(tmp_path.iterdir())


def test_arguments_are_refused_before_tensorflow_is_loaded(place, tmp_path):
    code = "import sys; from flows import cli; sys.argv = ['foldcam', *sys.argv[1:]]\ntry:\n    cli.main()\n"
    code += "finally:\n    print([name for name in ('tensorflow', 'keras', 'mlflow') if name in sys.modules])"
    arguments = [
        "explain",
        "images",
        "--model",
        "mobile_net.keras",
        "--method",
        "gradcan",
        "--out",
        str(tmp_path / "o"),
    ]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.strip() == "[]"


def test_a_store_that_does_not_answer_is_named(here, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    answer = foldcam("explain", "images", "--model", "models:/doctor@champion", "--out", tmp_path / "out")
    assert "http://127.0.0.1:9" in answer.refused()


def test_code_in_a_file_runs_only_when_it_is_trusted(here, tmp_path):
    x = keras.Input((16, 16, 3))
    y = keras.layers.Lambda(lambda image: image / 255, output_shape=(16, 16, 3))(x)
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3)(y))
    keras.Model(x, keras.layers.Dense(2, activation="softmax")(y)).save(tmp_path / "coded.keras")
    common = ["explain", "images/a/000.png", "--model", tmp_path / "coded.keras", "--out", tmp_path / "out"]
    assert "--trust" in foldcam(*common).refused()
    assert foldcam(*common, "--trust").code == 0


def test_a_failure_on_the_way_leaves_nothing(here, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.explanation.explained_files.write_gallery_page", fail)
    out = tmp_path / "made" / "for it"
    with pytest.raises(InputError, match="No space left"):
        explain_images("images", "convolution_with_softmax.keras", out=out, faithfulness=0)
    assert list(tmp_path.iterdir()) == []
    out.mkdir(parents=True)
    with pytest.raises(InputError, match="No space left"):
        explain_images("images", "convolution_with_softmax.keras", out=out, faithfulness=0)
    assert list(out.iterdir()) == []


def fail(*arguments, **options):
    raise OSError(28, "No space left on device")


def test_from_python_all_of_it_is_at_hand(here, tmp_path):
    steps = []
    done = explain_images(
        "images/a",
        "transfer_learning.keras",
        out=tmp_path / "out",
        methods=["layercam"],
        classes=["dog"],
        settings=["alpha=1", "colormap=jet"],
        said=Said(classes=("cat", "dog")),
        report=lambda *step: steps.append(step),
    )
    assert done.table["target"].tolist() == ["dog", "dog"]
    assert done.page.is_file()
    [few] = done.warnings
    assert "on 2 images: too few to tell" in few
    assert ("explaining images", 2, 2) in steps
    assert steps[-1][1] == steps[-1][2] == 2 * 114
    loaded = pd.read_csv(done.out / "explanations.csv")
    pd.testing.assert_frame_equal(loaded, done.table, check_dtype=False)


def test_who_stops_it_is_told_that_nothing_was_written(here, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.explanation.explained_files.write_gallery_page", stop)
    common = ["explain", "images", "--model", "convolution_with_softmax.keras", "--faithfulness", "0"]
    answer = foldcam(*common, "--out", tmp_path / "out")
    assert (answer.code, answer.err.splitlines()[-1]) == (3, "Stopped. Nothing was written.")
    assert list(tmp_path.iterdir()) == []


def stop(*arguments, **options):
    raise KeyboardInterrupt
