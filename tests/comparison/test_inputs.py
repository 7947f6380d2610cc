from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tasks.comparison.inputs import all_images, fold_images
from tasks.dataset.folds.assignment import FoldRows

NOTHING = np.zeros(0, np.int64)


def plan(tmp_path, rows, labels="abab"):
    table = pd.DataFrame({"path": list("wxyz"), "label": list(labels), "sha256": list("1234"), "width": 1, "height": 1})
    manifest = SimpleNamespace(table=table, root=tmp_path / "eyes", digest="d" * 64)
    return SimpleNamespace(manifest=manifest, rows=(rows,), experiment=SimpleNamespace(name="study"))


def folds(train, validation, test):
    return FoldRows(*(np.array(part, np.int64) for part in (train, validation, test)), holdout=NOTHING)


def test_a_fold_runs_images_are_told_by_what_it_does_with_them(tmp_path):
    found = list(fold_images(plan(tmp_path, folds([0, 1], [2], [3])), 0))
    told = {part.context: part.table["path"].tolist() for part in found}
    assert told == {"testing": ["z"], "training": ["w", "x"], "validation": ["y"]}
    assert {part.name for part in found} == {"eyes"}
    assert len({part.digest for part in found}) == 3
    assert [part.context for part in fold_images(plan(tmp_path, folds([0, 1, 2], [], [3])), 0)] == [
        *("testing", "training")
    ]


def test_equal_parts_have_one_digest_whatever_their_order_and_a_changed_label_another(tmp_path):
    def digests(train, **more):
        return [part.digest for part in fold_images(plan(tmp_path, folds(train, [], [3]), **more), 0)]

    one, other = digests([0, 1]), digests([0, 1], labels="bbab")
    assert one == digests([1, 0])
    assert (one[0] == other[0], one[1] == other[1]) == (True, False)


def test_the_same_images_trained_on_and_scored_have_digests_of_their_own(tmp_path):
    """MLflow's search cannot ask for a digest and a context of the same data set."""
    tested, trained = (
        {p.context: p.digest for p in fold_images(plan(tmp_path, f), 0)}
        for f in (
            folds([0], [], [1]),
            folds([1], [], [0]),
        )
    )
    assert tested["testing"] != trained["training"]


def test_an_experiments_images_bear_the_digest_of_its_data(tmp_path):
    found = all_images(plan(tmp_path, folds([0], [1], [2])))
    assert (found.digest, found.context, len(found.table)) == ("d" * 64, "cross-validation", 4)
