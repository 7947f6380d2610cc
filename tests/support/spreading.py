"""How the tests are spread over processes: a file's in one, and all that use one costly fixture in one."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from xdist.scheduler import LoadFileScheduling

JOB, LINES, POOL, SERVER, UNDISTURBED = "job", "lines", "pool", "shared_server", "undisturbed_run"
COSTLY = (JOB, LINES, POOL, SERVER, UNDISTURBED)
TOGETHER = {
    "test_export_run": JOB,
    "test_main_job": JOB,
    "test_main_job_artifacts": JOB,
    "test_main_job_champion": JOB,
    "test_main_job_cost": JOB,
    "test_main_job_outcome": JOB,
    "test_main_job_pages": JOB,
    "test_cost": POOL,
    "test_fold_run": POOL,
    "test_fold_run_kinds": POOL,
    "test_fold_settings": POOL,
    "test_pool": POOL,
    "test_served_as_predicted": POOL,
    "test_watch": POOL,
    "test_clean_on_server": SERVER,
    "test_doctor": SERVER,
    "test_every_route": SERVER,
    "test_users_command": SERVER,
    "test_at_the_same_time": UNDISTURBED,
    "test_clock_set_back": UNDISTURBED,
    "test_cluster_nodes_lost": UNDISTURBED,
    "test_cluster_sizes": UNDISTURBED,
    "test_damaged_cache": UNDISTURBED,
    "test_disk_full": UNDISTURBED,
    "test_killed_at_random": UNDISTURBED,
    "test_resumed_fold_runs": UNDISTURBED,
    "test_tracking_server": UNDISTURBED,
    "test_two_hosts": UNDISTURBED,
    "test_champion_run": LINES,
    "test_champion_served": LINES,
    "test_predict_run": LINES,
}
"""Files by the session's fixture that they share, which each process would make anew."""


SLOW = {"empty_store", "prefect_api", "pool", "stack"}
"""Fixtures of the files that take longest: they run servers, workers or whole experiments."""


class Spreading(LoadFileScheduling):
    """Gives each process whole files, in the order in which they come, and files of `TOGETHER` with their kind."""

    def __init__(self, config, log):
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        return TOGETHER.get(PurePosixPath(file).stem, file)


def slow_first(items):
    """Sort tests: slow files first, large ones before small ones, so that the processes end at about the same time."""
    slow = {_scope(item) for item in items if not SLOW.isdisjoint(item.fixturenames)}
    sizes = Counter(map(_scope, items))
    items.sort(key=lambda item: (_scope(item) not in slow, -sizes[_scope(item)], _scope(item)))


def _scope(item):
    return TOGETHER.get(item.path.stem, str(item.path))


def misplaced(items):
    """Give the files whose tests use such a fixture and that `TOGETHER` does not name for it."""
    wanted = {(item.path.stem, name) for item in items for name in _shared(item)}
    return sorted(stem for stem, name in wanted if TOGETHER.get(stem) != name)


def _shared(item):
    known = item._fixtureinfo.name2fixturedefs
    return [name for name in COSTLY if name in known and known[name][-1].scope == "session"]
