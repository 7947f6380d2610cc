import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from tasks.config import InputError
from tasks.evaluation.outputs import class_probabilities
from tasks.explanation.controls import gaussian_field, random_field, ranks
from tasks.explanation.faithfulness import Plan, explained_probabilities, measure_faithfulness
from tasks.explanation.maps import normalise
from tasks.explanation.perturbed import SOURCES, baseline_of

pytestmark = pytest.mark.filterwarnings("error")

SIDE = 32
ROWS, COLUMNS = slice(20, 28), slice(4, 12)
TARGETS = np.ones(24, int)


class Model:
    """The probability of class 1 is the mean brightness of the object, which lies off the centre."""

    def __init__(self):
        self.sizes = []

    def __call__(self, images):
        assert images.dtype == np.float32
        assert images.shape[1:] == (SIDE, SIDE, 3)
        self.sizes.append(len(images))
        p = images[:, ROWS, COLUMNS].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - p, p], axis=1)


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 60, (24, SIDE, SIDE, 3))
    pictures[:, ROWS, COLUMNS] = random.integers(180, 256, (24, 8, 8, 3))
    return pictures.astype(np.uint8)


@pytest.fixture(scope="module")
def true_maps():
    maps = np.zeros((24, 8, 8), np.float32)
    maps[:, 5:7, 1:3] = np.random.default_rng(1).uniform(0.5, 1, (24, 2, 2))
    return maps


def gain(found, measure, control):
    rows = found.gains.set_index(["measure", "control"])
    return rows.loc[(measure, control)]


def test_the_true_map_beats_both_controls_in_every_measure(images, true_maps):
    model = Model()
    found = measure_faithfulness(model, images, true_maps, TARGETS)
    assert found.beats_controls
    assert not found.flagged
    assert found.n_blank == 0
    areas = found.gains[found.gains["measure"].str.contains("deletion|insertion|overall|drop")]
    assert areas["beats"].all()
    assert sum(model.sizes) == found.passes == 24 * Plan().passes_an_image
    assert max(model.sizes) <= Plan().batch


def others():
    random = np.random.default_rng(7)
    turned = np.ones((24, 8, 8))
    turned[:, 5:7, 1:3] = 0
    return {
        "random": random.random((24, 8, 8)),
        "constant": np.ones((24, 8, 8)),
        "blank": np.zeros((24, 8, 8)),
        "broken": np.full((24, 8, 8), np.nan),
        "gaussian": np.broadcast_to(gaussian_field(SIDE, SIDE), (24, SIDE, SIDE)),
        "turned round": turned,
    }


@pytest.mark.parametrize("name", list(others()))
def test_a_map_that_knows_nothing_is_flagged(images, name):
    maps = others()[name]
    found = measure_faithfulness(Model(), images, maps, TARGETS)
    assert found.flagged
    assert found.n_blank == (24 if name in ("blank", "broken") else 0)
    if name == "constant":
        assert gain(found, "average_drop", "random")["mean"] == 0
        assert gain(found, "average_drop", "gaussian")["mean"] == 0
    if name == "gaussian":
        assert gain(found, "overall", "gaussian")["mean"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("way", "baseline"), [(w, b) for w in ("deletion", "insertion") for b in ("blur", "mean")])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_areas_equal_a_slow_loop(images, way, baseline, steps):
    maps = np.random.default_rng(3).random((24, SIDE, SIDE)).astype(np.float32)
    found = measure_faithfulness(Model(), images, maps, TARGETS, Plan(steps=steps, baselines=(baseline,)))
    table = found.table[found.table["source"] == "map"].set_index("image")
    for number in (0, 5, 23):
        image = images[number].astype(np.float64)
        if baseline == "mean":
            base = np.ones_like(image) * image.mean(axis=(0, 1))
        else:
            sigma = SIDE * 10 / 224
            base = np.stack([gaussian_filter(image[..., c], sigma, mode="nearest") for c in range(3)], axis=-1)
        start, end = (image, base) if way == "deletion" else (base, image)
        order = np.argsort(-maps[number].ravel(), kind="stable")
        scores, shares = [], []
        for step in range(steps + 1):
            n_taken = round(SIDE * SIDE * step / steps)
            picture = start.reshape(-1, 3).copy()
            picture[order[:n_taken]] = end.reshape(-1, 3)[order[:n_taken]]
            scores.append(picture.reshape(SIDE, SIDE, 3)[ROWS, COLUMNS].mean() / 255)
            shares.append(n_taken / SIDE**2)
        area = sum((shares[i + 1] - shares[i]) * (scores[i + 1] + scores[i]) / 2 for i in range(steps))
        assert table.loc[number, f"{way}_{baseline}"] == pytest.approx(area, abs=1e-5)


def test_drop_and_increase_are_as_published(images):
    maps = np.random.default_rng(4).random((24, SIDE, SIDE)).astype(np.float32)

    def predict(pictures):
        dark = 1 - pictures[:, ROWS, COLUMNS].mean(axis=(1, 2, 3)) / 255
        bright = 1 - dark
        return np.stack([dark, bright], axis=1)

    targets = np.arange(24) % 2
    found = measure_faithfulness(predict, images, maps, targets, Plan(steps=1))
    table = found.table[found.table["source"] == "map"]
    whole = predict(images)[np.arange(24), targets]
    times = predict(images * normalise(maps)[..., None])[np.arange(24), targets]
    np.testing.assert_allclose(table["average_drop"], np.maximum(whole - times, 0) / whole, atol=1e-6)
    np.testing.assert_array_equal(table["increase_in_confidence"], times > whole)
    assert found.metrics()["increase_in_confidence"] == 0.5
    assert found.metrics()["average_drop"] == pytest.approx(table["average_drop"].mean())


def test_scale_and_batch_change_nothing_and_the_seed_only_the_controls(images, true_maps):
    found = measure_faithfulness(Model(), images, true_maps, TARGETS, Plan(steps=4))
    scaled = measure_faithfulness(Model(), images, true_maps * 8, TARGETS, Plan(steps=4, batch=7))
    other = measure_faithfulness(Model(), images, true_maps, TARGETS, Plan(steps=4, seed=1))
    assert scaled.table.equals(found.table)
    assert scaled.gains.equals(found.gains)
    of = {source: [f.table[f.table["source"] == source] for f in (found, other)] for source in SOURCES}
    assert not np.allclose(*(table["overall"] for table in of["random"]))


def test_passes_are_told_beforehand_and_bounded(images, true_maps):
    plan = Plan(steps=5, baselines=("blur",), max_passes=300)
    assert plan.passes_an_image == 1 + 1 + 2 * 4 * 3 + 3
    assert plan.most_images == 300 // 29
    with pytest.raises(InputError, match=r"takes 696 forward passes, 29 an image, and 300 are allowed.*at most 10"):
        measure_faithfulness(Model(), images, true_maps, TARGETS, plan)
    model = Model()
    measure_faithfulness(model, images[:10], true_maps[:10], TARGETS[:10], plan)
    assert sum(model.sizes) == 290


def test_too_few_images_or_groups_decide_nothing(images, true_maps):
    found = measure_faithfulness(Model(), images[:5], true_maps[:5], TARGETS[:5], Plan(steps=3))
    assert found.beats_controls is None
    assert not found.flagged
    grouped = measure_faithfulness(Model(), images, true_maps, TARGETS, Plan(steps=3), groups=np.arange(24) % 4)
    assert grouped.beats_controls is None


def test_what_does_not_go_together_is_refused(images, true_maps):
    for arguments in (
        (images[:0], true_maps[:0], TARGETS[:0]),
        (images, true_maps[:3], TARGETS),
        (images, true_maps, 1),
    ):
        with pytest.raises(ValueError, match="of the same n"):
            measure_faithfulness(Model(), *arguments)
    for plan in (Plan(steps=0), Plan(steps=SIDE * SIDE + 1), Plan(baselines=())):
        with pytest.raises(ValueError, match="one step"):
            measure_faithfulness(Model(), images, true_maps, TARGETS, plan)


def test_ranks_follow_heat_then_ties_then_place():
    heat = np.array([[1.0, 3.0, 1.0], [0.0, 0.0, 0.0]])
    ties = np.array([[0.1, 0.0, 0.9], [0.5, 0.5, 0.7]])
    np.testing.assert_array_equal(ranks(heat, ties), [[2, 0, 1], [4, 5, 3]])


def test_controls_are_what_they_say():
    field = gaussian_field(20, 40)
    assert field.max() == field[9, 19] == field[10, 20]
    np.testing.assert_allclose(field, field[::-1, ::-1], atol=1e-6)
    assert field[10, 30] / field[10, 20] == pytest.approx(
        np.exp(-0.5 * ((10.5 / 40) ** 2 - (0.5 / 40) ** 2) * 16), rel=1e-4
    )
    fields = np.stack([random_field((4, 4), 32, 32, np.random.default_rng(seed)) for seed in range(300)])
    np.testing.assert_allclose(fields.mean(axis=0), 0.5, atol=0.08)
    neighbours = np.corrcoef(fields[:, 10, 10], fields[:, 10, 11])[0, 1]
    assert neighbours > 0.8
    assert abs(np.corrcoef(fields[:, 4, 4], fields[:, 28, 28])[0, 1]) < 0.2


def test_baselines_leave_the_picture_alone(images):
    before = images[0].copy()
    for kind in ("mean", "blur"):
        base = baseline_of(images[0], kind)
        assert base.dtype == np.float32
        assert base.std() < images[0].std()
    np.testing.assert_array_equal(images[0], before)
    np.testing.assert_allclose(baseline_of(np.full((9, 9, 3), 77), "blur"), 77, rtol=1e-5)


def test_what_does_not_depend_on_the_map_is_asked_for_once_and_changes_nothing(images, true_maps):
    random, plan = np.random.default_rng(4), Plan(steps=4, seed=2, batch=7)
    given = [true_maps, random.random((24, 8, 8)), random.random((24, 5, 8)), np.zeros((24, 8, 8))]
    known: dict = {}
    shared = [measure_faithfulness(Model(), images, maps, TARGETS, plan, known=known) for maps in given]
    alone = [measure_faithfulness(Model(), images, maps, TARGETS, plan) for maps in given]
    for one, other in zip(shared, alone, strict=True):
        pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
        pd.testing.assert_frame_equal(one.gains, other.gains, check_exact=True)
    whole, own = plan.passes_an_image, plan.own_passes
    assert [found.passes for found in shared] == [24 * whole, 24 * own, 24 * whole, 24 * own]
    assert own == 2 * 2 * 3 + 3 < whole


def test_a_grade_is_measured_by_whether_it_is_reached_as_its_map_is():
    outputs = np.array([[1, 0.9, 0.7, 0.2], [1, 0.3, 0.1, 0.0]])
    found = explained_probabilities(class_probabilities(outputs, "ordinal"), "ordinal")
    np.testing.assert_allclose(found, [[0.1, 0.9, 0.7, 0.2], [0.7, 0.3, 0.1, 0.0]], atol=1e-12)
    same = np.array([[0.2, 0.8]])
    for kind in ("multiclass", "multilabel"):
        np.testing.assert_array_equal(explained_probabilities(same, kind), same)


def test_a_true_map_of_a_grade_beats_its_controls_where_the_object_speaks_for_the_grades_above_too(images, true_maps):
    def reached(pictures):
        bright = pictures[:, ROWS, COLUMNS].mean(axis=(1, 2, 3)) / 255
        return np.stack([np.ones_like(bright), np.sqrt(bright), bright], axis=1)

    def predict(pictures):
        return explained_probabilities(class_probabilities(reached(pictures), "ordinal"), "ordinal")

    assert measure_faithfulness(predict, images, true_maps, TARGETS).beats_controls
