"""Backups of the databases and the artifact store, and what is restored from them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import until
from tests.support.team import Team

OWNERS = {"mlflow": "mlflow", "mlflow_sign_in": "mlflow", "prefect": "prefect"}


class Kept:
    """A database and a store with something in them, and their backups."""

    def __init__(self, team: Team) -> None:
        self.team, self.folder = team, team.stack.volume("backups")

    def fill(self) -> None:
        for database, owner in OWNERS.items():
            made = self.team.query(database, f"SET ROLE {owner}; CREATE TABLE kept AS SELECT 42 AS value")
            assert made.endswith("SELECT 1"), made
        self.put("artifacts/1/a b/ü.txt", b"one")
        self.put("artifacts/1/c.txt", b"two")

    def put(self, key: str, content: bytes) -> None:
        self.team.bucket.put_object(Key=key, Body=content)

    @property
    def values(self) -> set[str]:
        return {self.team.query(database, "SELECT value FROM kept") for database in OWNERS}

    def wipe(self) -> None:
        """Lose the volumes of the database and of the store, whose stand-in forgets when it ends."""
        self.team.stack.down()
        shutil.rmtree(self.team.stack.volume("database"))
        self.team.stack.up("database", "bucket")

    def backup(self) -> Path:
        """Make one; a name has the second it was begun in."""
        before = set(self.all())

        def made() -> list[Path]:
            done = self.team.stack.run("backup", "backup")
            assert done.returncode == 0, done.stderr
            return [path for path in self.all() if path not in before]

        return until(made, 10, "a new backup")[0]

    def restore(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.team.stack.run("restore", *arguments)

    def all(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_dir())


@pytest.fixture
def kept(stack) -> Kept:
    stack.up("database", "bucket")
    kept = Kept(Team(stack))
    for database in OWNERS:
        kept.team.query(database, "DROP TABLE IF EXISTS kept")
    kept.team.bucket.objects.delete()
    shutil.rmtree(kept.folder)
    kept.folder.mkdir()
    kept.fill()
    return kept


def test_a_restore_brings_back_what_was_there(kept):
    objects = kept.team.objects
    first = kept.backup()
    kept.wipe()
    assert kept.team.objects == {}
    done = kept.restore()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Restored {first.name}: 2 artifacts and 3 databases. Start the servers.\n"
    assert kept.team.objects == objects
    assert kept.values == {"42"}
    own = {"PGUSER": "mlflow", "PGPASSWORD": kept.team.secret("mlflow", "PGPASSWORD")}
    assert kept.team.query("mlflow", "UPDATE kept SET value = 1", **own) == "UPDATE 1"
    assert "permission denied" in kept.team.query("prefect", "SELECT 1", **own)


def test_a_later_backup_leaves_an_earlier_one_as_it_was_and_shares_its_files(kept):
    objects = kept.team.objects
    first = kept.backup()
    kept.put("artifacts/1/c.txt", b"two and more")
    kept.put("artifacts/1/d.txt", b"new")
    second = kept.backup()
    assert _files(first) == objects
    assert _files(second) == kept.team.objects
    same = "artifacts/artifacts/1/a b/ü.txt"
    assert (first / same).samefile(second / same)
    assert {path.stat().st_mode & 0o077 for path in first.rglob("*")} == {0}


def test_what_is_there_is_not_written_over_unless_told(kept):
    first = kept.backup()
    kept.team.query("prefect", "UPDATE kept SET value = 43")
    kept.put("artifacts/1/c.txt", b"TWO")
    refused = kept.restore()
    assert refused.returncode == 2
    assert "nothing was changed. Add --replace" in refused.stderr
    assert kept.values == {"42", "43"}
    assert kept.restore("--replace", first.name).returncode == 0
    assert kept.values == {"42"}
    assert kept.team.objects["artifacts/1/c.txt"] == b"two"


def test_all_databases_are_exchanged_or_none(kept):
    """What has a subscription cannot be dropped, though nobody is connected to it."""
    first = kept.backup()
    for database in OWNERS:
        kept.team.query(database, "UPDATE kept SET value = 43")
    kept.team.query("prefect", "CREATE SUBSCRIPTION held CONNECTION '' PUBLICATION held WITH (connect = false)")
    try:
        done = kept.restore("--replace", first.name)
        assert kept.values == {"42"}
        assert done.returncode == 0
        assert "still there, as prefect_replaced" in done.stderr
    finally:
        kept.team.query("prefect_replaced", "ALTER SUBSCRIPTION held SET (slot_name = NONE)")
        kept.team.query("prefect_replaced", "DROP SUBSCRIPTION held")
    assert kept.restore("--replace", first.name).stderr == ""


@pytest.mark.parametrize("damage", ["a bit", "an artifact"])
def test_a_damaged_backup_is_refused(kept, damage):
    backup = kept.backup()
    if damage == "a bit":
        content = bytearray((backup / "prefect.dump").read_bytes())
        content[-100] ^= 1
        (backup / "prefect.dump").write_bytes(content)
    else:
        (backup / "artifacts/artifacts/1/c.txt").unlink()
    refused = kept.restore("--replace", backup.name)
    assert refused.returncode == 2
    assert "Use another one" in refused.stderr
    assert kept.values == {"42"}


def test_a_backup_that_fails_leaves_none_behind(kept):
    failed = kept.team.stack.run("backup", "backup", PGPASSWORD="not-the-databases-own")
    assert failed.returncode != 0
    assert kept.all() == [] or [path.name.startswith(".part-") for path in kept.all()] == [True]
    assert kept.team.stack.run("backup", "backup", "--fresh").returncode == 1
    kept.backup()
    assert [path.name.startswith(".part-") for path in kept.all()] == [False]
    assert kept.team.stack.run("backup", "backup", "--fresh").returncode == 0


def test_old_backups_go(kept):
    for name in ("2020-01-01T00-00-00Z", "2020-01-02T00-00-00Z"):
        (kept.folder / name / "artifacts").mkdir(parents=True)
    assert kept.restore("--list").stdout == "2020-01-01T00-00-00Z\n2020-01-02T00-00-00Z\n"
    new = kept.backup()
    assert kept.all() == [new]


def test_two_at_once_do_not_disturb_each_other(kept):
    import fcntl

    with (kept.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Another backup or restore works" in kept.team.stack.run("backup", "backup").stderr
    kept.backup()


def _files(backup: Path) -> dict[str, bytes]:
    root = backup / "artifacts"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
