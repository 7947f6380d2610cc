from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp
from skimage.data import lfw_subset

from tasks.comparison.drift.distances import LEAST_IMAGES, LEVEL, label_shares, measure_drift, within_groups
from tasks.comparison.drift.told import drift_json, drift_sentences
from tasks.dataset.drift_reference import STATISTICS, statistics_of

FACES = [np.repeat((picture * 255).round().astype(np.uint8)[:, :, None], 3, axis=2) for picture in lfw_subset()]


@pytest.fixture(scope="module")
def faces():
    """The statistics of 200 real images, each a group of its own."""
    found = statistics_of(FACES)
    return found.assign(group=np.arange(len(found)), label=["face"] * 100 + ["other"] * 100)


def split(table, rng, n_new):
    order = rng.permutation(len(table))
    return table.iloc[order[n_new:]], table.iloc[order[:n_new]]


def test_a_split_of_the_same_images_is_no_drift_in_95_of_100_cases(faces):
    rng = np.random.default_rng(1)
    alarms = [measure_drift(*split(faces, rng, 60)).drifted for _ in range(120)]
    assert np.mean(alarms) <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / len(alarms))


def test_grouped_images_do_not_raise_more_alarms():
    """With 26 patients of 8 like images each, a test that takes images for independent alarms far too often."""
    rng = np.random.default_rng(2)

    def draw(n_groups):
        between = rng.normal(size=(n_groups, 1, 4))
        values = (between + 0.5 * rng.normal(size=(n_groups, 8, 4))).reshape(-1, 4)
        table = pd.DataFrame(values, columns=list(STATISTICS[:4]))
        return table.assign(group=np.repeat(np.arange(n_groups), 8), label="a")

    pairs = [(draw(26), draw(10)) for _ in range(150)]
    naive = [min(ks_2samp(a[name], b[name]).pvalue for name in STATISTICS[:4]) * 4 < LEVEL for a, b in pairs]
    alarms = [measure_drift(a, b).drifted for a, b in pairs]
    assert np.mean(naive) > 0.3
    assert np.mean(alarms) <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / len(alarms))


def test_darkened_images_are_found_and_called_darker(faces):
    rng = np.random.default_rng(3)
    rows = rng.permutation(len(FACES))[:40]
    new = statistics_of([(FACES[row] * 0.5).astype(np.uint8) for row in rows])
    found = measure_drift(faces.drop(index=rows), new)
    assert found.drifted
    assert found.table.set_index("statistic").loc["brightness", "drifted"]
    assert any(line.startswith("Darker than the training images: median brightness") for line in drift_sentences(found))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda image: np.minimum(image.astype(int) + 80, 255).astype(np.uint8), "Brighter"),
        (lambda image: np.repeat(np.repeat(image, 3, 0), 3, 1), "Wider"),
        (lambda image: (image * np.array([1.0, 0.7, 0.7])).astype(np.uint8), "Redder"),
        (lambda image: (image * np.array([0.7, 0.7, 1.0])).astype(np.uint8), "Bluer"),
    ],
)
def test_each_way_to_differ_has_its_word(faces, change, word):
    found = measure_drift(faces, statistics_of([change(image) for image in FACES[::4]]))
    assert any(line.startswith(f"{word} than") for line in drift_sentences(found)), drift_sentences(found)


def test_the_distance_is_scipys_and_so_is_the_p_value_of_single_images(faces):
    new = faces.iloc[::5]
    row = measure_drift(faces, new).table.set_index("statistic").loc["contrast"]
    expected = ks_2samp(faces["contrast"], new["contrast"], method="asymp")
    assert row["distance"] == pytest.approx(expected.statistic)
    assert row["p"] == pytest.approx(expected.pvalue)
    assert row["new_median"] == np.median(new["contrast"])


def test_a_small_difference_is_no_drift_however_sure():
    rng = np.random.default_rng(4)
    training, new = ({"brightness": rng.normal(shift, 1, 20_000)} for shift in (0, 0.1))
    found = measure_drift(pd.DataFrame(training).assign(group=range(20_000), label="a"), pd.DataFrame(new))
    assert found.table["p_holm"][0] < 1e-6
    assert found.drifted is False


def test_too_few_images_are_not_judged(faces):
    found = measure_drift(faces, statistics_of([np.zeros_like(FACES[0])] * (LEAST_IMAGES - 1)))
    assert found.drifted is None
    assert not found.table["drifted"].any()
    [line] = drift_sentences(found)
    assert "too few" in line
    assert drift_json(found)["drifted"] is None


def test_the_models_outputs_are_compared_too(faces):
    rng = np.random.default_rng(5)
    reference = faces.assign(**{"output/face": rng.beta(2, 5, len(faces))})
    new = faces.iloc[::4].assign(**{"output/face": rng.beta(5, 2, 50)})
    found = measure_drift(reference, new)
    assert found.table["statistic"][0] == "face"
    assert found.table["kind"][0] == "output"
    assert any("probabilities of face" in line for line in drift_sentences(found))


def test_what_either_side_does_not_have_is_left_out(faces):
    new = faces.iloc[::4][["brightness"]].assign(**{"output/face": 0.5})
    found = measure_drift(faces, new)
    assert found.table["statistic"].tolist() == ["brightness"]
    holes = new.assign(brightness=new["brightness"].where(np.arange(len(new)) % 2 == 0))
    assert np.isfinite(measure_drift(faces, holes).table["distance"]).all()


def test_no_value_at_all_is_no_drift(faces):
    found = measure_drift(faces, faces.iloc[::4].assign(brightness=np.nan))
    assert not found.table.set_index("statistic").loc["brightness", "drifted"]
    json.dumps(drift_json(found), allow_nan=False)


def test_shares_of_labels_come_with_intervals_and_are_told_where_they_differ(faces):
    given = ["face"] * 45 + ["other"] * 5
    found = measure_drift(faces, faces.iloc[::4], given)
    row = found.labels.set_index("label").loc["face"]
    assert (row["training_share"], row["new_share"]) == (0.5, 0.9)
    assert row["ci_low"] == pytest.approx(0.786, abs=1e-3)
    assert row["ci_high"] == pytest.approx(0.957, abs=1e-3)
    assert any(line.startswith("face is given to 90\u00a0% of the new images") for line in drift_sentences(found))
    assert found.drifted is False


def test_an_image_with_several_labels_counts_for_each():
    found = label_shares(["a|b", "a", ""], ["b", "a|b"], "|").set_index("label")
    assert found["training_share"].to_dict() == pytest.approx({"": 1 / 3, "a": 2 / 3, "b": 1 / 3})
    assert found["new_share"].to_dict() == {"": 0.0, "a": 0.5, "b": 1.0}


@pytest.mark.parametrize(
    ("values", "groups", "alike", "size"),
    [
        ([1.0, 1, 2, 2, 3, 3], [0, 0, 1, 1, 2, 2], 1.0, 2.0),
        ([1.0, 2, 3, 4], [0, 1, 2, 3], 0.0, 1.0),
        ([1.0, 2, 3], [0, 0, 0], 1.0, 3.0),
        ([5.0, 5, 5, 5], [0, 0, 1, 1], 0.0, 2.0),
        ([1.0, 4, 2, 3], [0, 0, 1, 1], 0.0, 2.0),
    ],
)
def test_how_alike_a_group_is(values, groups, alike, size):
    assert within_groups(np.array(values), np.array(groups)) == pytest.approx((alike, size))


def test_json_holds_what_is_said_and_every_row(faces):
    found = measure_drift(faces, faces.iloc[::4], ["face"] * 50)
    value = json.loads(json.dumps(drift_json(found), allow_nan=False))
    assert {row["statistic"] for row in value["statistics"]} == set(STATISTICS)
    assert (value["n_training"], value["n_new"]) == (200, 50)
    assert value["said"] == drift_sentences(found)


@pytest.mark.parametrize("size", [1, 5])
def test_labels_that_are_given_as_often_as_they_are_borne_are_seldom_told(size):
    rng, told = np.random.default_rng(6), 0
    for _ in range(100):
        training, new = (np.repeat(rng.choice(list("abc"), n // size, p=[0.5, 0.3, 0.2]), size) for n in (300, 100))
        table = pd.DataFrame({"brightness": rng.normal(size=300), "label": training, "group": np.arange(300) // size})
        found = measure_drift(table, pd.DataFrame({"brightness": rng.normal(size=100)}), new.tolist())
        told += any("is given to" in line for line in drift_sentences(found))
    assert told <= 10  # 5 are expected at most; 11 or more have a chance of 1 %
