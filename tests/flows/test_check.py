from __future__ import annotations

import io
import json

import fsspec
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from flows.check import check_experiment, print_check
from flows.listings import cache_rows, cache_table, clear_cache
from tasks.config import Experiment, InputError
from tasks.dataset.folds.leaks import assert_disjoint
from tasks.dataset.locks import filling
from tasks.dataset.store import cache_home, remote_home
from tasks.planning import load_plan


def patch(seed):
    """Give a coarse coloured pattern of its own for each seed, large enough for a hash."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """A train and a test split of two classes."""
    for split, numbers in (("train", range(24)), ("test", range(24, 32))):
        for number in numbers:
            file = tmp_path / "data" / split / "ab"[number % 2] / f"{number:02d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            patch(number).save(file)
    return tmp_path / "data"


def experiment(folder, folds=None, **data):
    folds = {"n_splits": 3} | (folds or {})
    return Experiment(name="a", data={"path": folder, **data}, folds=folds, backbones=["ncnn"])


def severities(check):
    return {finding.code: finding.severity for finding in check.audited.findings}


def test_copies_and_near_copies_stand_on_one_side_of_every_fold_run(folder):
    for number in range(0, 12, 2):
        patch(number).transpose(Image.Transpose.ROTATE_90).save(folder / f"train/a/{number:02d} turned.jpg", quality=95)
        patch(number + 1).save(folder / f"train/b/{number + 1:02d} copy.bmp")
    check = check_experiment(experiment(folder))
    table = check.plan.manifest.table
    assert check.leak is None
    assert table["declared_group"].isna().all()
    assert (table["group"].value_counts() > 1).sum() == 12
    assert {code: grade for code, grade in severities(check).items() if code.startswith("duplicates.")} == {
        "duplicates.exact": "note",
        "duplicates.near": "note",
        "duplicates.near_flipped": "note",
    }
    groups = table["group"].to_numpy(dtype=object)
    for rows in check.plan.rows:
        assert_disjoint(groups, vars(rows))
    fold = check.plan.fold_of_row
    for number in range(0, 12, 2):
        own = table["path"].str.contains(f"/{number:02d}")
        assert own.sum() == 2
        assert len(set(fold[own])) == 1


def test_pictures_that_only_resemble_each_other_are_not_joined(folder):
    table = check_experiment(experiment(folder)).plan.manifest.table
    assert table["group"].isna().all()


def test_tiny_and_even_pictures_are_not_joined_for_their_looks(tmp_path):
    random = np.random.default_rng(0)
    for number in range(40):
        file = tmp_path / "data" / "ab"[number % 2] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        even = np.full((8, 8, 3), 100 + number, dtype=np.uint8)
        noise = random.integers(0, 256, (8, 6, 3), dtype=np.uint8)
        Image.fromarray(even if number < 20 else noise).save(file)
    assert check_experiment(experiment(tmp_path / "data")).plan.manifest.table["group"].isna().all()


def test_a_copy_in_the_holdout_stops_a_run_and_is_audited_all_the_same(folder):
    patch(3).save(folder / "test/b/again.png")
    check = check_experiment(experiment(folder))
    assert check.plan is None
    assert "train/b/03.png" in str(check.leak)
    assert severities(check)["duplicates.across_folds"] == "stop"
    assert check.to_json()["fold_runs"] == 0
    with pytest.raises(InputError, match=r"test/b/again\.png"):
        load_plan(experiment(folder))


def test_a_leak_that_is_allowed_is_told_and_does_not_stop(folder):
    patch(3).save(folder / "test/b/again.png")
    check = check_experiment(experiment(folder, allow_leaks=["test/b/again.png"], audit={"off": ["groups"]}))
    assert check.leak is None
    assert severities(check)["groups.allowed_leaks"] == severities(check)["duplicates.across_folds"] == "warn"


def test_a_declared_group_in_the_holdout_stops_unless_it_is_allowed(folder):
    pattern = r"/(?P<group>[0-9]+)\.png$"
    patch(40).save(folder / "test/b/03.png")
    check = check_experiment(experiment(folder, groups=pattern))
    assert severities(check)["groups.holdout"] == "stop"
    for allow in ("test/b/03.png", "train/b/03.png", "*/03.png"):
        check = check_experiment(experiment(folder, groups=pattern, allow_leaks=[allow]))
        assert check.leak is None
        assert severities(check)["groups.holdout"] == severities(check)["groups.allowed_leaks"] == "warn"
        declared = check.plan.manifest.table.set_index("path")["declared_group"]
        assert declared["test/b/03.png"] == declared["train/b/03.png"] == "03"


def test_ready_made_folds_with_a_copy_on_both_sides_are_audited(tmp_path):
    for number in range(24):
        file = tmp_path / "data" / f"fold_{number % 3}" / "ab"[number % 2] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        patch(number).save(file)
    (tmp_path / "data/fold_1/a/copy.png").write_bytes((tmp_path / "data/fold_0/a/00.png").read_bytes())
    check = check_experiment(experiment(tmp_path / "data", {"kind": "ready_made"}, reader="fold_folders"))
    assert "fold_0/a/00.png (fold 0)" in str(check.leak)
    assert severities(check)["duplicates.across_folds"] == "stop"
    allow = ["fold_1/a/copy.png"]
    folds = {"kind": "ready_made"}
    assert check_experiment(experiment(tmp_path / "data", folds, reader="fold_folders", allow_leaks=allow)).leak is None


def test_a_manifest_tells_declared_groups_apart_from_joined_ones(folder, tmp_path):
    patch(2).save(folder / "train/a/02 again.png")
    check = check_experiment(experiment(folder, groups=r"/(?P<group>[^/]+)\.png$"))
    check.plan.manifest.write(tmp_path / "manifest.parquet")
    back = check.plan.manifest.read(tmp_path / "manifest.parquet", folder).table.set_index("path")
    assert back["declared_group"]["train/a/02 again.png"] == "02 again"
    assert back["group"]["train/a/02 again.png"] == back["group"]["train/a/02.png"] == "02 + 02 again"


def test_fresh_reads_all_again_and_else_only_what_changed_is_read(folder, monkeypatch):
    from tasks.dataset import manifest

    read = []
    own = manifest.open_picture
    monkeypatch.setattr(
        manifest, "open_picture", lambda root, address, ground: read.append(address) or own(root, address, ground)
    )
    first = check_experiment(experiment(folder)).to_json()
    assert len(read) == 32
    assert check_experiment(experiment(folder)).to_json() == first
    assert len(read) == 32
    check_experiment(experiment(folder), fresh=True)
    assert len(read) == 64
    patch(77).save(folder / "train/a/00.png")
    check_experiment(experiment(folder))
    assert read[64:] == ["train/a/00.png"]
    assert cache_home().is_dir()


def test_another_ground_is_another_reading(folder):
    image = patch(50)
    image.putalpha(Image.new("L", image.size, 90))
    image.save(folder / "train/a/clear.png")
    black = check_experiment(experiment(folder)).plan.manifest
    white = check_experiment(experiment(folder, preprocessing={"transparency_color": "#ffffff"})).plan.manifest
    assert white.ground == (255, 255, 255)
    changed = (black.table["sha256"] != white.table["sha256"]).to_numpy()
    assert black.table["path"][changed].tolist() == ["train/a/clear.png"]


def test_an_unknown_code_is_refused_before_any_image_is_read(tmp_path):
    with pytest.raises(InputError, match=r"Did you mean images\.blurred"):
        check_experiment(experiment(tmp_path / "nowhere", audit={"off": ["images.blured"]}))


def test_the_command_writes_the_page_and_refuses_a_leak_with_2(folder, tmp_path):
    from tests.support.command import foldcam

    file = tmp_path / "a.yaml"
    data = f"data:\n  path: {folder}\n  audit:\n    off: [images.tiny]\n"
    file.write_text(f"name: a\n{data}folds: {{n_splits: 3}}\nbackbones: [ncnn]\n", encoding="utf-8")
    answer = foldcam("check", str(file), "--out", str(tmp_path / "out"))
    assert answer.code == 0, answer.err
    found = json.loads((tmp_path / "out/audit.json").read_text(encoding="utf-8"))
    assert found["n_images"] == 32
    assert found["off"] == ["images.tiny"]
    assert "<h2>Findings</h2>" in (tmp_path / "out/audit.html").read_text(encoding="utf-8")
    patch(3).save(folder / "test/b/again.png")
    answer = foldcam("check", str(file), "--json")
    assert answer.code == 2
    assert json.loads(answer.out)["findings"][0]["severity"] == "stop"
    assert len(answer.err.strip().splitlines()) == 1
    assert "train/b/03.png" in answer.err


def printed(check, width):
    with (console := Console(width=width, file=io.StringIO())).capture() as shown:
        print_check(check, console)
    return shown.get()


def test_an_image_without_a_label_is_told_once_and_is_not_unreadable(folder):
    patch(60).save(folder / "train/loose.png")
    check = check_experiment(experiment(folder, unlabelled="skip"))
    assert printed(check, 200).count("no label") == 1
    facts = check.to_json()
    assert (facts["n_unlabelled"], facts["n_unreadable"]) == (1, 0)
    assert "Without a label" in check.audited.to_html()


def test_the_table_that_tells_the_labels_is_no_ignored_file(folder):
    rows = [f"{file.relative_to(folder).as_posix()},{file.parent.name}" for file in sorted(folder.rglob("*.png"))]
    (folder / "labels.csv").write_text("\n".join(["image,label", *rows]))
    (folder / "patients.csv").write_text(
        "\n".join(["image,patient", *(f"{row.split(',')[0]},{number}" for number, row in enumerate(rows))])
    )
    data = {"reader": "table", "table": {"file": "labels.csv"}}
    assert check_experiment(experiment(folder, **data)).to_json()["n_ignored_files"] == 1
    check = check_experiment(experiment(folder, groups={"table": "patients.csv", "column": "patient"}, **data))
    assert check.to_json()["n_ignored_files"] == 0
    assert "files.ignored" not in severities(check)


def test_without_room_for_every_fold_the_counts_are_ranges(folder):
    check = check_experiment(experiment(folder, {"n_splits": 12}))
    wide, narrow = printed(check, 200), printed(check, 80)
    assert "fold 11" in wide
    assert "fold 0" not in narrow
    row = next(line for line in narrow.splitlines() if line.startswith("│ a "))
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["a", "1", "4", "16"]
    assert "each of 12 folds" in narrow


def test_of_repeats_the_first_is_printed(folder):
    shown = printed(check_experiment(experiment(folder, {"n_repeats": 2})), 120)
    assert "the first of 2 repeats" in shown
    assert "fold 2" in shown
    assert "fold 3" not in shown


def test_what_is_fetched_from_an_address_is_in_the_cache_and_goes_with_it(tmp_path):
    memory = fsspec.filesystem("memory")
    for number in range(12):
        buffer = io.BytesIO()
        patch(number).save(buffer, "PNG")
        memory.pipe(f"/eyes/{'ab'[number % 2]}/{number}.png", buffer.getvalue())
    assert check_experiment(experiment("memory://eyes")).plan is not None
    fetched = [entry for entry in cache_rows()["entries"] if entry["what"] == "fetched"]
    assert [entry["key"] for entry in fetched] == [{"address": "memory://eyes"}]
    assert 0 < fetched[0]["bytes"] <= cache_rows()["bytes"]
    shown = io.StringIO()
    Console(width=120, file=shown).print(cache_table())
    assert "memory://eyes" in shown.getvalue()
    folder = next(path for path in remote_home().iterdir() if path.is_dir())
    with filling(folder.with_name(folder.name + ".lock")):
        clear_cache()
        assert folder.is_dir()
    assert clear_cache() >= fetched[0]["bytes"]
    assert not folder.exists()
    assert cache_rows()["entries"] == []
    memory.rm("/eyes", recursive=True)
