"""Labels of every kind: read, written as text and as numbers, refused where they make no sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.config import Data, InputError, Labels
from tasks.dataset.manifest import Manifest
from tasks.dataset.targets import Targets, read_labels


def data(classes=None, **labels):
    return Data(path=Path("leaves"), labels=Labels(**labels), classes=classes)


def read(labels, **settings):
    return read_labels([(f"{number}.png", label) for number, label in enumerate(labels)], data(**settings))


LEAVES = ["scab rust", "healthy", "rust", "rust  scab", "frog_eye_leaf_spot"]


def test_several_labels_an_image_are_sorted_into_the_order_of_the_classes():
    targets, texts = read(LEAVES, kind="multilabel", none_label="healthy")
    assert targets.classes == ("frog_eye_leaf_spot", "rust", "scab")
    assert texts == ["rust scab", "healthy", "rust", "rust scab", "frog_eye_leaf_spot"]
    assert targets.numbers(texts).tolist() == [[0, 1, 1], [0, 0, 0], [0, 1, 0], [0, 1, 1], [1, 0, 0]]


@given(st.data())
def test_numbers_and_texts_are_each_others_inverse(draw):
    kind = draw.draw(st.sampled_from(["multiclass", "multilabel", "ordinal"]))
    none_label = draw.draw(st.sampled_from([None, "none of them"]))
    targets = Targets(("a", "b c", "d"), kind, "|", none_label)
    shape = st.lists(st.integers(0, 1), min_size=3, max_size=3) if kind == "multilabel" else st.integers(0, 2)
    y = np.array(draw.draw(st.lists(shape, min_size=1, max_size=6)))
    np.testing.assert_array_equal(targets.numbers(targets.texts(y)), y)


def test_other_separators_are_taken_and_blanks_around_them_not():
    targets, texts = read(["a, b c", "b c,a ,a", "d"], kind="multilabel", separator=",")
    assert targets.classes == ("a", "b c", "d")
    assert texts == ["a,b c", "a,b c", "d"]


def test_grades_are_sorted_by_number():
    targets, _ = read(["10", "9", "0"], kind="ordinal")
    assert targets.classes == ("0", "9", "10")
    assert targets.numbers(["9", "10"]).tolist() == [1, 2]


def test_grades_in_words_need_their_order():
    words = ["mild", "none", "severe"]
    with pytest.raises(InputError, match=r"no whole number.*data\.classes"):
        read(words, kind="ordinal")
    assert read(words, kind="ordinal", classes=["none", "mild", "severe"])[0].classes == ("none", "mild", "severe")


@pytest.mark.parametrize(
    ("labels", "settings", "said"),
    [
        (["a", "b", "c"], {"kind": "binary"}, "binary.*3 classes.*multiclass"),
        (["rust", "healthy"], {"kind": "multilabel", "none_label": "healthy"}, "one label, 'rust'.*two labels"),
        (["healthy"], {"kind": "multilabel", "none_label": "healthy"}, "one label, 'healthy'"),
        (["rust", "scab healthy"], {"kind": "multilabel", "none_label": "healthy"}, r"1\.png.*'healthy'.*scab"),
        (["rust", "scap"], {"kind": "multilabel", "classes": ["rust", "scab"]}, r"scap.*1\.png.*data\.classes"),
        (
            ["rust", "scab"],
            {"kind": "multilabel", "none_label": "healthy", "classes": ["rust", "scab", "healthy"]},
            "'healthy'.*none_label",
        ),
    ],
)
def test_labels_that_make_no_sense_are_told_in_one_paragraph(labels, settings, said):
    with pytest.raises(InputError, match=said) as told:
        read(labels, **settings)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "settings", [{"none_label": "healthy"}, {"kind": "multilabel", "none_label": "not ill"}, {"kind": "several"}]
)
def test_settings_that_contradict_each_other_are_refused(settings):
    with pytest.raises(ValueError, match=r"multilabel|separator|literal_error|Input should be"):
        Labels(**settings)


def test_a_manifest_keeps_the_kind_and_alike_sets_of_labels_are_one_stratum(table_of, tmp_path):
    targets = Targets(("rust", "scab"), "multilabel", " ", "healthy")
    rows = [{"path": f"{n}.png", "label": label} for n, label in enumerate(["rust", "healthy", "rust scab", "rust"])]
    manifest = table_of(rows, targets=targets)
    manifest.write(tmp_path / "manifest.parquet")
    again = Manifest.read(tmp_path / "manifest.parquet", Path("/data"))
    assert again.targets == targets
    np.testing.assert_array_equal(again.y, [[1, 0], [0, 0], [1, 1], [1, 0]])
    assert again.strata[0] == again.strata[3]
    assert len(set(again.strata.tolist())) == 3


def test_the_kind_makes_another_digest(table_of):
    rows = [{"label": "0"}, {"label": "1"}]
    assert table_of(rows, ("0", "1")).digest != table_of(rows, targets=Targets(("0", "1"), "ordinal")).digest


@pytest.mark.parametrize("label", ["a\nb", "a\x1b[31mb", "a\u2028b"])
@pytest.mark.parametrize("classes", [None, ["x", "y"]])
def test_labels_with_line_breaks_or_control_characters_are_refused_in_one_line(label, classes):
    for settings in ({"classes": classes}, {"classes": ["x", label]}):
        with pytest.raises(InputError) as caught:
            read([label, "x"], **settings)
        assert str(caught.value).isprintable()


def test_unusual_names_of_classes_are_kept_apart_and_stay_as_they_are():
    names = ["a/b", "..", "Cat", "cat", "👩‍🔬", "x" * 300, "[/]", "non\u00a0breaking"]
    targets, texts = read(names)
    assert sorted(targets.classes) == sorted(names)
    assert texts == names


def test_a_class_that_holds_the_separator_is_refused_since_no_image_can_have_it():
    with pytest.raises(InputError, match="'frog eye', which holds data"):
        read(["frog eye", "rust"], kind="multilabel", classes=["frog eye", "rust"])


def test_grades_may_have_gaps_and_many_sets_of_labels_are_no_more_than_their_labels():
    assert read(["3", "0", "10", "1"], kind="ordinal")[0].classes == ("0", "1", "3", "10")
    several = [" ".join(f"l{bit}" for bit in range(7) if number >> bit & 1) or "none" for number in range(128)]
    targets, texts = read(several, kind="multilabel", none_label="none")
    assert len(targets.classes) == 7
    assert targets.texts(targets.numbers(texts)) == several
