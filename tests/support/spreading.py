"""How the tests are spread over processes: a file's in one, and all that use one costly fixture in one."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadFileScheduling

JOB, LINES, UNDISTURBED = "job", "lines", "undisturbed_run"
TOGETHER = {
    "test_export_run": JOB,
    "test_main_job": JOB,
    "test_main_job_artifacts": JOB,
    "test_main_job_champion": JOB,
    "test_main_job_cost": JOB,
    "test_main_job_outcome": JOB,
    "test_main_job_pages": JOB,
    "test_at_the_same_time": UNDISTURBED,
    "test_clock_set_back": UNDISTURBED,
    "test_cluster_nodes_lost": UNDISTURBED,
    "test_damaged_cache": UNDISTURBED,
    "test_disk_full": UNDISTURBED,
    "test_killed_at_random": UNDISTURBED,
    "test_resumed_fold_runs": UNDISTURBED,
    "test_tracking_server": UNDISTURBED,
    "test_champion_run": LINES,
    "test_champion_served": LINES,
    "test_predict_run": LINES,
}
"""Files by the session's fixture that they share, which each process would make anew."""


class Spreading(LoadFileScheduling):
    """Gives each process whole files, and files of `TOGETHER` with those of their kind."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        return TOGETHER.get(PurePosixPath(file).stem, file)


def misplaced(items):
    """Give the files whose tests use such a fixture and that `TOGETHER` does not name for it."""
    wanted = {(item.path.stem, name) for item in items for name in _shared(item)}
    return sorted(stem for stem, name in wanted if TOGETHER.get(stem) != name)


def _shared(item):
    known = item._fixtureinfo.name2fixturedefs
    return [name for name in (JOB, LINES, UNDISTURBED) if name in known and known[name][-1].scope == "session"]
