from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.benchmarks import run
from tests.benchmarks.agree import compare, scaled
from tests.benchmarks.bench import Bench, Failed
from tests.benchmarks.registry import ROWS, Disagree, NotRun, Outcome, Part, Row
from tests.benchmarks.report import lines, markdown

LISTED = [
    *("sweep_frozen", "sweep_last_block", "sweep_five"),
    *("gradcam", "gradcam_floor", "gradcam_peers", "gradcam_cached"),
    *("explaining", "explaining_measures"),
    *("overhead", "workers", "memory", "resume", "fit_states", "logging", "server_calls"),
    *("audit_memory", "audit_again", "lookalikes"),
    *("predicting_memory", "serving", "help"),
]


def test_the_rows_are_the_listed_ones():
    assert list(run.ORDER) == LISTED
    assert sorted(ROWS) == sorted(LISTED)
    assert [name for name, row in ROWS.items() if row.optional] == ["gradcam_peers"]


@pytest.mark.parametrize(
    ("kind", "goal", "value", "holds"),
    [
        ("faster", 4, 5.0, True),
        ("faster", 6, 5.0, False),
        ("slower", 5, 5.0, True),
        ("slower", 4, 5.0, False),
        ("throughput", 0.2, 0.2, True),
        ("throughput", 0.3, 0.2, False),
        ("share", 0.2, 0.2, True),
        ("share", 0.1, 0.2, False),
        ("more", -8, -8.0, True),
        ("more", -9, -8.0, False),
        ("at most", 2, 2.0, True),
        ("at most", 1, 2.0, False),
    ],
)
def test_a_part_compares_the_medians(kind, goal, value, holds):
    part = Part("", kind, goal, "s", ours=[100.0, 2.0, 1.0], theirs=[10.0, 0.0, 300.0])
    assert part.value == pytest.approx(value)
    assert part.holds is holds


def part(value):
    return Part("", "at most", 1, "s", [value])


def row(measure, optional=False):
    return Row("one", measure, "ours", "theirs", "wall", optional, alone=True)


def raising(fault):
    def measure(bench):
        raise fault

    return measure


@pytest.mark.parametrize(
    ("measured", "status", "code"),
    [
        (row(lambda _: Outcome([part(0.5)], "equal")), "measured", 0),
        (row(lambda _: Outcome([part(2)], "equal")), "measured", 0),
        (row(raising(Disagree("maps differ"))), "disagrees", 1),
        (row(raising(NotRun("no such package"))), "failed", 1),
        (row(raising(NotRun("no such package")), optional=True), "not run", 0),
        (row(raising(Failed("it died")), optional=True), "failed", 1),
    ],
)
def test_only_rows_that_were_not_measured_make_the_suite_fail(measured, status, code, tmp_path):
    found = run.measured(measured, Bench(1, True, tmp_path))
    assert found["status"] == status
    results = {"rows": {"one": found}}
    assert run.exit_code(results) == code
    json.dumps(results)
    if status == "measured":
        assert lines(results)[0][-1] == ("holds" if found["holds"] else "MISSED")
    else:
        assert str(found["reason"]) in lines(results)[0][-1]


def test_results_agree_only_within_their_tolerance_and_shape():
    a = {"maps": np.array([[0.0, 1.0]])}
    assert "1.0e-03" in compare(a, {"maps": np.array([[0.0, 1.001]])}, {"maps": 2e-3})
    for other in ([[0.0, 1.1]], [[0.0, np.nan]], [0.0, 1.0], [[0.0, 0.0]]):
        with pytest.raises(Disagree):
            compare(a, {"maps": np.array(other)}, {"maps": 2e-3})


def test_maps_are_divided_by_their_own_maximum():
    maps = np.array([[[0.0, 4.0]], [[0.0, 0.0]], [[1.0, 0.5]]])
    assert scaled(maps).tolist() == [[[0.0, 1.0]], [[0.0, 0.0]], [[1.0, 0.5]]]


def test_sides_are_measured_in_turn(tmp_path):
    order = []
    found = Bench(3, True, tmp_path).interleaved(lambda: order.append("a") or 1, lambda: order.append("b") or 2)
    assert order == list("ababab")
    assert found == [[1, 1, 1], [2, 2, 2]]


def test_an_unknown_row_is_refused():
    answer = CliRunner().invoke(run.app, ["nosuchrow"])
    assert answer.exit_code == 2
    assert "nosuchrow" in answer.stderr


def test_the_row_help_runs_as_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(run.app, ["help", "--quick", "--repeats", "1"])
    assert answer.exit_code == 0, answer.output
    results = json.loads((tmp_path / "benchmarks.json").read_text())
    found = results["rows"]["help"]
    assert found["parts"][0]["ours_median"] > found["parts"][0]["theirs_median"] > 0
    assert results["machine"]["cores"] >= 1
    assert "| `help` |" in markdown(results)
