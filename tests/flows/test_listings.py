from __future__ import annotations

from flows.listings import cache_rows, clear_cache


def test_states_of_fits_and_copies_are_listed_as_they_are_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path))
    for name, size in (("fits/abc.npz", 7), ("artifacts/run/report.html", 5), ("plans/p/folds.csv", 3)):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * size)
    (tmp_path / "waiting" / "parcel").mkdir(parents=True)
    (tmp_path / "waiting" / "parcel" / "head.json").write_text("{}")
    held = cache_rows()
    assert {entry["what"]: (entry["bytes"], entry["key"]["name"]) for entry in held["entries"]} == {
        "tables of plans": (3, "p"),
        "copies of artifacts": (5, "run"),
        "fits": (7, "abc.npz"),
    }
    assert held["bytes"] == clear_cache() == 15
    assert cache_rows()["entries"] == []
    assert (tmp_path / "waiting" / "parcel" / "head.json").exists()
