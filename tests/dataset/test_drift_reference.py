from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.config import Data, InputError
from tasks.dataset.drift_reference import STATISTICS, picture_statistics, reference_statistics, statistics_of
from tasks.dataset.manifest import read_manifest


def grey(level, side=12):
    return np.full((side, side, 3), level, np.uint8)


@pytest.fixture
def manifest(tmp_path):
    for split, label, name, picture in (
        ("train", "a", "p1_1.png", grey(0)),
        ("train", "a", "p1_2.png", grey(51)),
        ("train", "b", "p2_1.png", grey(255, 30)),
        ("test", "a", "p3_1.png", grey(102)),
        ("test", "b", "p4_1.png", grey(153)),
    ):
        file = tmp_path / split / label / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    data = Data.model_validate({"path": str(tmp_path), "groups": {"pattern": r"(?P<group>p\d)_"}})
    return read_manifest(data)


def test_the_training_images_are_measured_and_the_holdout_is_left_out(manifest):
    found = reference_statistics(manifest)
    assert list(found) == ["group", "label", *STATISTICS]
    assert found["brightness"].tolist() == pytest.approx([0, 0.2, 1])
    assert found["label"].tolist() == ["a", "a", "b"]
    assert found["width"].tolist() == [12, 12, 30]
    assert found["group"].tolist() == [0, 0, 1]


def test_nothing_in_it_names_an_image(manifest):
    texts = reference_statistics(manifest).select_dtypes(object).to_numpy().ravel()
    assert set(texts) == {"a", "b"}


def test_a_manifest_that_was_read_back_gives_the_same(manifest):
    assert reference_statistics(replace(manifest, facts=None)).equals(reference_statistics(manifest))


def test_a_later_image_is_measured_as_the_training_images_are(manifest):
    pictures = [np.asarray(Image.open(manifest.root / path)) for path in manifest.table["path"]]
    trained = (manifest.table["split"] != "holdout").to_numpy()
    later = statistics_of(pictures)[trained].reset_index(drop=True)
    assert later.equals(reference_statistics(manifest)[list(STATISTICS)])


def test_an_image_that_is_gone_is_refused(manifest):
    (manifest.root / manifest.table["path"][0]).unlink()
    with pytest.raises(InputError, match="cannot be now"):
        reference_statistics(replace(manifest, facts=None))


def test_outputs_are_those_of_the_network_that_had_not_seen_the_image(manifest):
    paths = manifest.table["path"][(manifest.table["split"] != "holdout").to_numpy()].tolist()
    predictions = pd.DataFrame({"path": [paths[2], paths[0], paths[0]], "prob/a": [0.1, 0.7, 0.2], "label": "a"})
    found = reference_statistics(manifest, predictions)
    np.testing.assert_array_equal(found["output/a"], [0.7, np.nan, 0.1])
    assert [name for name in found if name.startswith("output/")] == ["output/a"]


def test_tints_tell_a_reddish_picture_from_a_bluish_one():
    reddish, bluish = grey(100), grey(100)
    reddish[..., 0], bluish[..., 2] = 151, 151
    found = [picture_statistics(picture) for picture in (reddish, bluish, grey(100))]
    assert [one["red"] for one in found] == pytest.approx([0.2, 0, 0])
    assert [one["blue"] for one in found] == pytest.approx([0, 0.2, 0])
