from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import Folds, InputError
from tasks.dataset.folds.assignment import assign_folds, fold_rows
from tasks.dataset.folds.leaks import assert_disjoint, effective_groups, groups_across, refuse_leaks
from tasks.dataset.lookalikes.near_duplicates import near_duplicates


def pairs_of(n, *edges):
    """Pairs among n pictures, made through real hashes: each edge is (first, second, distance)."""
    random = np.random.default_rng(7)
    words = random.integers(0, 2**64, (n, 8), dtype=np.uint64)
    for one, other, distance in edges:
        words[other] = words[one] ^ np.uint64((1 << distance) - 1)
    return near_duplicates([row.astype(">u8").tobytes() for row in words], 6)


def test_nothing_to_keep_together_gives_no_groups(table_of):
    manifest = table_of([{"label": "ab"[number % 2]} for number in range(6)])
    assert effective_groups(manifest, pairs_of(6)).tolist() == [None] * 6
    assert effective_groups(manifest, None).tolist() == [None] * 6


def test_declared_groups_copies_and_looks_join_through_each_other(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"{number}.png", "group": f"p{number // 2}"} for number in range(8)]
    rows[1]["sha256"] = rows[2]["sha256"] = "copy"
    groups = effective_groups(table_of(rows), pairs_of(8, (4, 6, 2), (0, 7, 3)))
    assert groups.tolist() == ["p0 + p1"] * 4 + ["p2 + p3"] * 4
    wider = effective_groups(table_of(rows), pairs_of(8, (4, 6, 2), (0, 7, 3)), join_distance=3)
    assert set(wider) == {"p0 + p1 + p2 + p3"}


def test_images_alone_have_groups_of_their_own_once_there_are_groups(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"{number}.png"} for number in range(5)]
    groups = effective_groups(table_of(rows), pairs_of(5, (1, 3, 0)))
    assert groups.tolist() == ["0.png", "1.png", "2.png", "1.png", "4.png"]


def test_what_people_allow_is_not_joined_and_declared_groups_stay(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"rig{number % 2}/{number}.png"} for number in range(6)]
    for number in (0, 2):
        rows[number]["group"] = "one leaf"
    manifest = table_of(rows)  # sorted by path: 0, 2, 4 of rig0, then 1, 3, 5 of rig1
    pairs = pairs_of(6, (0, 2, 1), (3, 4, 1))
    assert groups_across(effective_groups(manifest, pairs), np.array([0, 1, 2, 3, 4, 5])) == ["one leaf", "rig1/1.png"]
    allowed = effective_groups(manifest, pairs, allow=["rig1/*"])
    assert groups_across(allowed, np.array([0, 1, 2, 3, 4, 5])) == ["one leaf"]


@settings(deadline=None)
@given(st.data())
def test_groups_do_not_depend_on_the_order_of_the_rows_and_hold_what_belongs_together(table_of, data):
    n = 12
    drawn = st.lists(st.integers(0, 5), min_size=n, max_size=n)
    pixels, declared = data.draw(drawn), data.draw(drawn)
    rows = [
        {
            "label": "ab"[number % 2],
            "path": f"{number:02d}",
            "sha256": f"s{pixels[number]}",
            "group": f"g{declared[number]}",
        }
        for number in range(n)
    ]
    manifest = table_of(rows)
    groups = effective_groups(manifest, None)
    for one in range(n):
        for other in range(n):
            if pixels[one] == pixels[other] or declared[one] == declared[other]:
                assert groups[one] == groups[other]
    order = data.draw(st.permutations(range(n)))
    turned = replace(manifest, table=manifest.table.iloc[order].reset_index(drop=True))
    assert effective_groups(turned, None).tolist() == groups[order].tolist()


def test_folds_by_effective_groups_are_disjoint_in_every_fold_run(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"{number:03d}.png"} for number in range(120)]
    for number in range(0, 60, 4):
        rows[number]["sha256"] = rows[number + 2]["sha256"] = f"copy {number}"
    manifest = table_of(rows)
    pairs = pairs_of(120, *((number, number + 1, 2) for number in range(70, 90, 2)))
    groups = effective_groups(manifest, pairs)
    plain = assign_folds(manifest, Folds(n_splits=4), seed=0)
    assert groups_across(groups, plain)
    manifest.table["group"] = groups
    fold = assign_folds(manifest, Folds(n_splits=4), seed=0)
    assert groups_across(groups, fold) == []
    for number in range(4):
        parts = fold_rows(manifest, fold, number, validation_fraction=0.2, seed=0)
        assert_disjoint(groups, vars(parts))
        astray = vars(parts) | {"train": np.append(parts.train, parts.test[0])}
        with pytest.raises(RuntimeError, match="1 image both in train and in test"):
            assert_disjoint(groups, astray)


def test_a_group_on_two_sides_is_told_with_both_parts():
    groups = np.array(["p", "q", "p", None, None], dtype=object)
    parts = {"train": np.array([0, 3]), "validation": np.array([1]), "holdout": np.array([2, 4])}
    with pytest.raises(RuntimeError, match="1 group both in train and in holdout: p"):
        assert_disjoint(groups, parts)
    assert_disjoint(groups, {"train": np.array([0, 2, 3]), "holdout": np.array([1, 4])})


def test_leaks_that_the_data_brings_are_refused_unless_named(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"site{number // 4}/{number}.png"} for number in range(8)]
    rows[0]["sha256"] = rows[7]["sha256"] = "copy"
    manifest, pairs = table_of(rows), pairs_of(8, (2, 5, 1))
    groups = effective_groups(manifest, pairs)
    apart = np.array([0, 1, 0, 1, 0, 1, 1, -1])
    with pytest.raises(InputError) as refused:
        refuse_leaks(manifest, groups, apart)
    assert "2 sets of images" in str(refused.value)
    again = pickle.loads(pickle.dumps(refused.value))
    assert str(again) == str(refused.value)
    assert again.fold_of_row.tolist() == apart.tolist()
    assert "site0/0.png (fold 0) and site1/7.png (holdout)" in str(refused.value)
    assert "site0/2.png (fold 0) and site1/5.png (fold 1)" in str(refused.value)
    refuse_leaks(manifest, groups, np.array([0, 1, 0, 1, 1, 0, 1, 0]))
    refuse_leaks(manifest, effective_groups(manifest, pairs, allow=["site1/*"]), apart)
    with pytest.raises(InputError, match=r"no image below /data fits 'site3/\*'"):
        effective_groups(manifest, pairs, allow=["site3/*"])


def test_a_declared_group_in_the_holdout_is_refused(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"{number}.png", "group": f"p{number // 2}"} for number in range(4)]
    manifest = table_of(rows)
    groups = effective_groups(manifest, None)
    refuse_leaks(manifest, groups, np.array([0, 0, -1, -1]))
    with pytest.raises(InputError, match=r"1 set of images .*2.png \(fold 1\) and 3.png \(holdout\)"):
        refuse_leaks(manifest, groups, np.array([0, 0, 1, -1]))
