"""`foldcam compare`: one experiment, several, and what it says where they cannot be compared."""

from __future__ import annotations

import re
import stat

import pytest

from tasks.comparison.standings.recorded import NOT_COMPARED
from tests.support.command import foldcam
from tests.support.made_evidence import made_evidence
from tests.support.recorded_comparison import record
from tests.support.studio import make_studio, one_json

QUICK = {"n_draws": 1000}


@pytest.fixture(scope="module")
def place(tmp_path_factory, empty_store):
    """A store with `eyes` (twice), `again` on the same images and folds, `others` on other ones, and `broken`."""
    studio = make_studio(tmp_path_factory.mktemp("compared"), empty_store)
    root = studio.folder

    def made(name, temperatures, **settings):
        folder = root / "made" / name
        folder.mkdir(parents=True)
        return made_evidence(folder, temperatures, group_size=4, **QUICK, **settings)

    with studio.inside():
        ids = {}
        for name, experiment, evidence, settings in (
            ("older", "eyes", made("older", {"vgg16": 1.0, "ncnn": 0.7}, noise=20.0), {"training": {"epochs": 2}}),
            ("eyes", "eyes", made("eyes", {"vgg16": 1.0, "ncnn": 0.7}, noise=0.1), {"training": {"epochs": 9}}),
            ("others", "others", made("others", {"vgg16": 1.0}, n=120, seed=3, kind="ordinal"), None),
            ("broken", "broken", made("broken", {"vgg16": 1.0}, missing={"vgg16": [0, 1, 2]}), None),
        ):
            ids[name] = record(evidence, studio.tracking_uri, experiment, root / "scratch" / name, settings)
    return studio, ids


@pytest.fixture(autouse=True)
def _inside(place):
    with place[0].inside():
        yield


def ids(place):
    return place[1]


def test_one_experiment_is_told_with_letters_the_hedge_and_the_report(place):
    shown = foldcam("compare", "eyes")
    found = one_json(foldcam("compare", "eyes", "--json").out)
    assert shown.code == 0
    assert found["experiment_run_id"] == ids(place)["eyes"]
    verdict = found["comparison"]["verdict"]
    for sentence in verdict:
        assert sentence in shown.out
    assert "letters" in shown.out
    assert found["report"] in shown.out
    own = found["backbones"]["vgg16"]
    assert set(own["oof_intervals"]) == {"balanced_accuracy", "log_loss"}
    assert not [name for name in own["oof"] if name.endswith(("_ci_low", "_ci_high"))]
    ends = own["oof_intervals"]["balanced_accuracy"]
    assert ends["ci_low"] < own["oof"]["balanced_accuracy"] < ends["ci_high"]


def test_a_run_id_names_an_older_run_of_the_same_name(place):
    found = one_json(foldcam("compare", ids(place)["older"], "--json").out)
    assert (found["experiment"], found["experiment_run_id"]) == ("eyes", ids(place)["older"])


def test_the_id_of_a_backbones_run_is_refused_with_the_experiments(place):
    own = one_json(foldcam("compare", "eyes", "--json").out)["backbones"]["ncnn"]["run_id"]
    message = foldcam("compare", own).refused()
    assert "'backbone'" in message
    assert ids(place)["eyes"] in message
    assert "no experiment" in foldcam("compare", "0" * 32).refused()


def test_a_record_without_the_comparison_says_that_means_are_all_it_has(place):
    studio = place[0]
    run = studio.client.get_run(ids(place)["others"])
    file = studio.folder / "mlruns" / run.info.experiment_id / run.info.run_id / "artifacts" / "comparison.json"
    content = file.read_text()
    file.unlink()
    try:
        assert NOT_COMPARED in foldcam("compare", "others").out
        assert one_json(foldcam("compare", "others", "--json").out)["comparison"] is None
    finally:
        file.write_text(content)


def test_same_images_and_folds_are_tested_and_the_changed_setting_is_named(place):
    older = ids(place)["older"]
    shown = foldcam("compare", "eyes", older)
    found = one_json(foldcam("compare", "eyes", older, "--json").out)
    assert shown.code == 0
    [tested] = found["tests"]
    label = f"eyes@{ids(place)['eyes'][:8]}"
    assert tested["order"][0].startswith(label)
    assert tested["n_groups"] == 60
    assert {len(letter) for letter in tested["letters"].values()} == {1}
    [difference] = [own for own in tested["differences"] if own["metric"] == "balanced_accuracy"]
    assert difference["p"] == difference["p_holm"] <= 0.05
    assert abs(difference["difference"]) > 0.2
    assert found["settings"] == {"training.epochs": [9, 2]}
    [data] = found["data"]
    assert all(data[f"same_{part}"] for part in ("images", "pixels", "labels", "groups", "folds"))
    assert "is beyond chance (adjusted p " in shown.out
    assert "Settings that differ: training.epochs 9 / 2." in shown.out
    assert "Each is the best of its experiment by these very predictions" in shown.out
    assert "have the same images, pixels, labels, groups and folds." in shown.out


def test_named_backbones_of_each_are_all_compared_together(place):
    found = one_json(
        foldcam("compare", "eyes", ids(place)["older"], "--backbone", "vgg16", "--backbone", "ncnn", "--json").out
    )
    assert sorted(own["backbone"] for own in found["compared"]) == ["ncnn", "ncnn", "vgg16", "vgg16"]
    assert not [sentence for sentence in found["sentences"] if "Each is the best" in sentence]
    [tested] = found["tests"]
    assert len(tested["differences"]) == 2 * 6
    assert len(tested["order"]) == 4


def test_other_images_are_shown_side_by_side_without_a_test_and_why(place):
    shown = foldcam("compare", "eyes", "others")
    found = one_json(foldcam("compare", "eyes", "others", "--json").out)
    assert shown.code == 0
    assert found["tests"] == []
    [data] = found["data"]
    assert not data["same_images"]
    assert not data["same_folds"]
    assert re.search(r"eyes and others differ: 120 images only in eyes \(", shown.out)
    assert "others ranks by kappa (quadratic weights) itself; here all stand by balanced accuracy" in shown.out
    assert "So no test is made between the two" in shown.out
    assert "letters" not in shown.out
    assert "beyond chance" not in shown.out
    for own in found["compared"]:
        assert own["label"] in shown.out


def test_three_experiments_are_tested_where_they_can_be(place):
    found = one_json(foldcam("compare", "others", "eyes", ids(place)["older"], "--json").out)
    [tested] = found["tests"]
    assert len(tested["order"]) == 2
    assert all(label.startswith("eyes@") for label in tested["order"])
    assert len(found["data"]) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("eyes", "eyes"), "is named twice"),
        (("eyes", "eyse"), "Did you mean eyes?"),
        (("eyes", "broken"), "is finished, so there is nothing to compare"),
        (("eyes", "others", "--backbone", "vgg61"), "Did you mean vgg16?"),
        (("eyes", "--backbone", "vgg16"), "it is for several experiments"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_paragraph(arguments, said):
    assert said in foldcam("compare", *arguments).refused()


def test_open_shows_the_page_in_the_browser_that_is_set(place, tmp_path, monkeypatch):
    seen, browser = tmp_path / "seen", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {seen}\n')
    browser.chmod(browser.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    import webbrowser

    monkeypatch.setattr(webbrowser, "_tryorder", None)
    answer = foldcam("compare", "eyes", "--open", "--json")
    page = one_json(answer.out)["report"]
    assert seen.read_text().split() == [f"file://{page}"]
    assert f"Opened {page}" in answer.err
    assert foldcam("compare", "eyes", "others", "--open").out.count("Opened ") == 2


def test_damaged_predictions_are_named(place):
    studio = place[0]
    [fold] = [
        run
        for run in studio.runs("fold", backbone="vgg16", fold="0")
        if "others" in studio.client.get_experiment(run.info.experiment_id).name
    ]
    file = studio.folder / "mlruns" / fold.info.experiment_id / fold.info.run_id / "artifacts" / "predictions.parquet"
    content = file.read_bytes()
    twin = record_again(studio, place)
    file.write_bytes(b"not a table")
    try:
        message = foldcam("compare", "others", twin).refused()
    finally:
        file.write_bytes(content)
    assert "are damaged" in message
    assert str(file) in message


def record_again(studio, place):
    """Log the experiment `others` once more, and give the older run's id."""
    folder = studio.folder / "made" / "others again"
    folder.mkdir(parents=True)
    evidence = made_evidence(folder, {"vgg16": 1.0}, n=120, seed=3, kind="ordinal", group_size=4, **QUICK)
    record(evidence, studio.tracking_uri, "others", studio.folder / "scratch" / "others again")
    return ids(place)["others"]
