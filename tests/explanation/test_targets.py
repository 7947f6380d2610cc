import keras
import numpy as np
import pytest

from tasks.config import InputError
from tasks.evaluation.outputs import class_probabilities, explained_class
from tasks.explanation.gradcam import GradCam
from tasks.explanation.targets import (
    Difference,
    Likeliest,
    Named,
    both_classes,
    choose_targets,
    class_number,
    score_matrix,
)

CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")
P = np.array([[0.1, 0.2, 0.6, 0.1], [0.4, 0.4, 0.1, 0.1], [0.05, 0.9, 0.03, 0.02]])


def pairs(targets):
    return list(zip(targets.images.tolist(), targets.columns.tolist(), strict=True))


def test_the_predicted_class():
    targets = choose_targets(P, "predicted", "multiclass", CLASSES)
    assert pairs(targets) == [(0, 2), (1, 0), (2, 1)]
    assert targets.names == ("DRUSEN", "CNV", "DME")
    np.testing.assert_array_equal(targets.probabilities, [0.6, 0.4, 0.9])


def test_the_true_class():
    targets = choose_targets(P, "true", "multiclass", CLASSES, np.array([3, 0, 0]))
    assert pairs(targets) == [(0, 3), (1, 0), (2, 0)]
    np.testing.assert_array_equal(targets.probabilities, [0.1, 0.4, 0.05])


@pytest.mark.parametrize(("n", "wanted"), [(1, [2, 0, 1]), (2, [2, 1, 0, 1, 1, 0]), (9, None)])
def test_the_likeliest(n, wanted):
    targets = choose_targets(P, Likeliest(n), "multiclass", CLASSES)
    if wanted is None:
        assert len(targets.images) == 12
        assert targets.columns.tolist()[:4] == [2, 1, 0, 3]
    else:
        assert targets.columns.tolist() == wanted
    assert targets.images.tolist() == sorted(targets.images.tolist())


def test_classes_by_name_each_once_in_their_order():
    targets = choose_targets(P, Named(("normal", "CNV", "NORMAL")), "multiclass", CLASSES)
    assert pairs(targets) == [(0, 3), (0, 0), (1, 3), (1, 0), (2, 3), (2, 0)]
    assert targets.names[:2] == ("NORMAL", "CNV")


def test_every_positive_label_by_its_own_threshold():
    targets = choose_targets(P, "positive", "multilabel", CLASSES, thresholds=[0.5, 0.2, 0.5, 0.1])
    assert pairs(targets) == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 3), (2, 1)]
    nothing = choose_targets(P, "positive", "multilabel", CLASSES, thresholds=0.95)
    assert pairs(nothing) == []
    assert nothing.names == ()


def test_every_true_label():
    true = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    assert pairs(choose_targets(P, "true", "multilabel", CLASSES, true)) == [(0, 0), (0, 3), (2, 1)]


def test_the_predicted_label_is_the_one_furthest_above_its_threshold():
    targets = choose_targets(P, "predicted", "multilabel", CLASSES, thresholds=[0.05, 0.5, 0.9, 0.5])
    np.testing.assert_array_equal(targets.columns, explained_class(P, "multilabel", [0.05, 0.5, 0.9, 0.5]))


def test_the_decoded_grade():
    outputs = np.array([[0.9, 0.6, 0.45, 0.1], [0.9, 0.9, 0.8, 0.7], [0.2, 0.1, 0.1, 0.0]])
    targets = choose_targets(class_probabilities(outputs, "ordinal"), "predicted", "ordinal", list("0123"))
    assert pairs(targets) == [(0, 1), (1, 3), (2, 0)]


def test_the_difference_of_two_classes_is_one_more_column():
    why = Difference("dme", "NORMAL")
    targets = choose_targets(P, why, "multiclass", CLASSES)
    assert pairs(targets) == [(0, 4), (1, 4), (2, 4)]
    assert targets.names[0] == "dme, not NORMAL"
    np.testing.assert_array_equal(targets.probabilities, P[:, 1])
    other = Difference("CNV", "DME")
    both = choose_targets(P, why, "multiclass", CLASSES, differences=[other, why])
    np.testing.assert_array_equal(both.columns, [5, 5, 5])


def test_the_matrix_makes_of_logits_what_is_asked_for():
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    matrix = score_matrix("multiclass", CLASSES, differences=[Difference("DME", "CNV"), Difference("CNV", "NORMAL")])
    expected = np.c_[logits, logits[:, 1] - logits[:, 0], logits[:, 0] - logits[:, 3]]
    np.testing.assert_allclose(logits @ matrix, expected, atol=1e-6)
    assert matrix.dtype == np.float32


def test_grades_differ_by_what_speaks_for_each():
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    matrix = score_matrix("ordinal", list("0123"), differences=[Difference("2", "0")])
    expected = np.c_[-logits[:, 1], logits[:, 1:], logits[:, 2] + logits[:, 1]]
    np.testing.assert_allclose(logits @ matrix, expected, atol=1e-6)


def test_one_logit_speaks_for_either_of_two_classes():
    matrix = score_matrix("multiclass", ("no", "yes"), 1, [Difference("yes", "no")])
    np.testing.assert_array_equal(matrix, [[-1, 1, 2]])
    np.testing.assert_allclose(both_classes([[0.3], [1.0]]), [[0.7, 0.3], [0, 1]])


def test_a_method_explains_a_difference():
    keras.utils.set_random_seed(1)
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(5, 3, activation="relu", name="cam")(keras.layers.Rescaling(1 / 255)(x))
    logits = keras.layers.Dense(4, name="logits")(keras.layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, keras.layers.Softmax(name="probabilities")(logits))
    why = Difference("DRUSEN", "CNV")
    cam = GradCam(model, "cam", class_scores=score_matrix("multiclass", CLASSES, differences=[why]))
    images = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype(np.float32)
    _, maps = cam(images, choose_targets(P, why, "multiclass", CLASSES).columns)
    kernel = model.get_layer("logits").kernel.numpy()
    activations = keras.Model(x, y).predict(images, verbose=0)
    expected = np.maximum(activations @ (kernel[:, 2] - kernel[:, 0]) / 36, 0)
    np.testing.assert_allclose(maps, expected, atol=1e-6 * expected.max())
    assert maps.max() > 0


def test_an_unknown_class_has_its_nearest_told():
    with pytest.raises(InputError, match="nearest: DRUSEN"):
        choose_targets(P, Named(("drusem",)), "multiclass", CLASSES)
    with pytest.raises(InputError, match="The classes are: CNV, DME, DRUSEN, NORMAL"):
        choose_targets(P, Difference("CNV", "zebra"), "multiclass", CLASSES)
    with pytest.raises(InputError, match="nearest: tabby cat"):
        class_number("Tabby_cats", ["tabby cat", "tiger"])


def test_a_name_that_two_classes_bear_is_refused_but_for_the_very_name():
    assert class_number("crane", ["crane", "Crane"]) == 0
    with pytest.raises(InputError, match="2 classes are called"):
        class_number("CRANE", ["crane", "Crane"])
    with pytest.raises(InputError, match="2 classes are called"):
        class_number("crane", ["crane", "crane"])


@pytest.mark.parametrize(
    ("how", "kind", "told"),
    [
        ("true", "multiclass", "no labels"),
        ("positive", "multiclass", "multilabel"),
        (Likeliest(0), "multiclass", "1 or"),
    ],
)
def test_what_cannot_be_chosen_is_refused(how, kind, told):
    with pytest.raises(InputError, match=told):
        choose_targets(P, how, kind, CLASSES)


def test_a_class_is_not_compared_with_itself():
    with pytest.raises(InputError, match="itself"):
        score_matrix("multiclass", CLASSES, differences=[Difference("CNV", "cnv")])


def test_shapes_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match=r"\(n, 3\)"):
        choose_targets(P, "predicted", "multiclass", CLASSES[:3])
    with pytest.raises(ValueError, match="1 logits do not go with 4 classes"):
        score_matrix("multiclass", CLASSES, 1)


def test_no_images_have_no_targets():
    none = np.zeros((0, 4))
    for how in ("predicted", Likeliest(2), Named(("CNV",)), Difference("CNV", "DME")):
        assert pairs(choose_targets(none, how, "multiclass", CLASSES)) == []
