from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.config import Experiment
from tasks.dataset.manifest import Manifest
from tasks.dataset.pixels.addresses import open_image
from tasks.dataset.pixels.images import pixel_digest
from tasks.dataset.pixels.shaping import Shaping, lay_back, masked
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import class_probabilities, decide, explained_class, right
from tasks.explanation.fold_pictures import (
    choose_explained,
    explained_label,
    fold_sheet_rows,
    sheet_rows,
    shown_labels,
    write_method_overlays,
)
from tasks.explanation.map_files import StoredMaps
from tasks.explanation.maps import normalise
from tasks.explanation.overlays import overlay
from tasks.explanation.predictions import Predicted

KINDS = {
    "multiclass": (Targets(("a", "b", "c")), ["a", "b", "c", "c"]),
    "ordinal": (Targets(("0", "1", "2"), "ordinal"), ["0", "1", "2", "2"]),
    "multilabel": (Targets(("rust", "scab", "spot"), "multilabel", " ", "healthy"), ["rust spot", "healthy", "", ""]),
}
OUTPUTS = np.array([[0.9, 0.2, 0.8], [0.4, 0.3, 0.1], [1.0, 0.8, 0.3], [0.6, 0.7, 0.2]])
THRESHOLDS = [0.5, 0.5, 0.7]
ROWS = np.arange(4)
HEATS = np.random.default_rng(1).random((4, 5, 5)).astype(np.float32)


@pytest.fixture
def data(tmp_path):
    """Four pictures, wide, the first with a transparent half, with labels of a kind, and the settings."""

    def make(kind, **preprocessing):
        root = tmp_path / "images"
        root.mkdir(exist_ok=True)
        pixels = np.random.default_rng(0).integers(60, 200, (4, 20, 30, 4), dtype=np.uint8)
        pixels[..., 3] = 255
        pixels[0, :, :15, 3] = 0
        paths = [f"{number}.png" for number in range(4)]
        for path, picture in zip(paths, pixels, strict=True):
            Image.fromarray(picture).save(root / path)
        targets, labels = KINDS[kind]
        labels = [targets.text(targets.parts(label)) if kind == "multilabel" else label for label in labels]
        ground = preprocessing.get("transparency_color", (0, 0, 0))
        digests = [pixel_digest(open_image(root, path, ground)) for path in paths]
        table = pd.DataFrame({"path": paths, "label": labels, "sha256": digests}).assign(group=None, split=None)
        manifest = Manifest(table, root, targets, pd.DataFrame(), ground=ground)
        settings = {"path": root, "labels": {"kind": kind}, "preprocessing": preprocessing}
        return manifest, Experiment(name="study", data=settings, backbones=["ncnn"])

    return make


def explained(manifest):
    """Give known predictions, what is decided, and maps for the classes that are explained."""
    kind = manifest.targets.kind
    found = Predicted(ROWS, class_probabilities(OUTPUTS, kind), ROWS[:0], HEATS[:0])
    classes = explained_class(found.probabilities, kind, THRESHOLDS)
    stored = StoredMaps("gradcam", "conv", manifest.table["path"].to_numpy(dtype=str), classes, HEATS)
    return found, decide(found.probabilities, kind, THRESHOLDS), stored


def written(folder, manifest, experiment):
    """Write the overlays of known outputs, and give what was decided."""
    _, y_pred, stored = explained(manifest)
    write_method_overlays(folder, manifest, experiment, stored, ROWS, right(manifest.y, y_pred))
    return y_pred


@pytest.mark.parametrize("kind", KINDS)
def test_right_and_wrong_are_those_of_the_decisions(data, tmp_path, kind):
    manifest, experiment = data(kind)
    y_pred = written(tmp_path / "out", manifest, experiment)
    texts = manifest.targets.texts(y_pred)
    for path, true, predicted in zip(manifest.table["path"], manifest.table["label"], texts, strict=True):
        side = "right" if true == predicted else "wrong"
        assert (tmp_path / "out/gradcam" / side / path).exists()
    sides = {file.parent.name for file in (tmp_path / "out/gradcam").rglob("*.png")}
    assert sides == {"right", "wrong"}


def test_overlays_show_the_picture_as_the_network_saw_it(data, tmp_path):
    steps = {"resize": "pad", "mask": "circle", "transparency_color": (10, 250, 20)}
    manifest, experiment = data("multiclass", **steps)
    written(tmp_path, manifest, experiment)
    how = Shaping("pad", (0, 0, 0), "circle")
    with Image.open(manifest.root / "0.png") as file:
        picture = np.asarray(file)[..., :3].copy()
    picture[:, :15] = (10, 250, 20)
    heat = lay_back(normalise(HEATS)[0], 20, 30, how)
    [file] = tmp_path.rglob("gradcam/*/0.png")
    np.testing.assert_array_equal(np.asarray(Image.open(file)), overlay(masked(picture, how), heat, 0.4, "inferno"))


@pytest.mark.parametrize("kind", KINDS)
def test_sheet_rows_tell_labels_and_the_probability_of_what_is_explained(data, kind):
    manifest, experiment = data(kind, mask="circle")
    found, y_pred, stored = explained(manifest)
    seen = fold_sheet_rows(manifest, experiment, found, y_pred, ROWS, stored, np.arange(4), 3, 16)
    probabilities = class_probabilities(OUTPUTS, kind)
    first, second = seen[0], seen[1]
    assert [row.name for row in seen] == manifest.table["path"].tolist()
    assert {row.fold for row in seen} == {3}
    assert (first.image[0, 0] == 0).all()
    if kind == "multilabel":
        assert (first.true, first.predicted, first.explained) == (("rust", "spot"), ("rust", "spot"), "rust")
        assert (second.true, second.predicted, second.explained) == (("healthy",), ("healthy",), "rust")
        assert [row.probability for row in seen] == [0.9, 0.4, 1.0, 0.7]
        assert first.right
        assert not seen[2].right
    else:
        for row, own in zip(seen, probabilities, strict=True):
            [predicted] = row.predicted
            assert row.explained is None
            assert row.probability == own[manifest.classes.index(predicted)]
    if kind == "ordinal":
        assert seen[3].predicted == ("1",)
    [last] = fold_sheet_rows(manifest, experiment, found, y_pred, ROWS, stored, np.array([3]), 3, 16)
    assert (last.name, last.probability, last.predicted) == (seen[3].name, seen[3].probability, seen[3].predicted)
    np.testing.assert_array_equal(last.overlay, seen[3].overlay)


def test_labels_are_shown_one_by_one_and_none_by_its_name():
    several = KINDS["multilabel"][0]
    assert shown_labels(several, "rust scab") == ("rust", "scab")
    assert shown_labels(several, "healthy") == ("healthy",)
    assert shown_labels(Targets(("rust", "scab"), "multilabel"), "") == ("no label",)
    assert shown_labels(Targets(("a b", "c")), "a b") == ("a b",)
    assert explained_label(several, 1) == "scab"
    assert explained_label(Targets(("a b", "c")), 1) is None
    assert explained_label(Targets(("a b", "c")), 1, "true") == "c"


def test_each_set_of_labels_has_its_share_of_the_pictures(data):
    manifest, experiment = data("multilabel")
    explanation = experiment.explanation.model_copy(update={"max_images": 2, "contact_sheet_images": 2})
    experiment = experiment.model_copy(update={"explanation": explanation})
    for rows in (sheet_rows(manifest, experiment), choose_explained(manifest, ROWS, experiment)):
        assert sorted(manifest.table["label"].iloc[rows]) == ["healthy", "rust spot"]
