"""What `champion.promotion` decides before any evidence is looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.champion import _decided
from tests.support.made_evidence import made_evidence


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_evidence(tmp_path_factory.mktemp("made"), {"one": 1.0}, n=30, n_draws=1000)


@pytest.mark.parametrize(
    ("promotion", "number", "before", "moves", "said"),
    [
        ("never", "1", None, False, "never"),
        ("always", "1", None, True, "no champion"),
        ("evidence", "1", None, True, "no champion"),
        ("never", "2", "1", False, "never"),
        ("always", "2", "1", True, "version 1 was not compared"),
        ("always", "1", "1", False, "already"),
        ("evidence", "1", "1", False, "already"),
    ],
)
def test_the_setting_decides_where_it_can(made, promotion, number, before, moves, said):
    own = made.plan.experiment.champion.model_copy(update={"promotion": promotion})
    settings = made.plan.experiment.model_copy(update={"champion": own})
    evidence = replace(made, plan=replace(made.plan, experiment=settings))
    found = _decided(None, evidence, None, None, number, before)
    assert found.moves is moves
    assert said in found.reason
