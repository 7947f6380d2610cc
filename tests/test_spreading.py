from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from tests.support.spreading import slow_first


def of_file(file, n, *fixtures):
    return [SimpleNamespace(path=Path(file), fixturenames=[*fixtures], number=number) for number in range(n)]


def test_slow_files_come_first_then_large_ones_and_what_belongs_together_stays_so():
    items = [
        *of_file("a/test_few.py", 1),
        *of_file("b/test_main_job.py", 2, "job", "prefect_api"),
        *of_file("c/test_many.py", 5),
        *of_file("d/test_own_run.py", 3, "prefect_api"),
        *of_file("e/test_main_job_pages.py", 2, "job"),
    ]
    slow_first(items)
    assert [(item.path.stem, item.number) for item in items] == [
        *(("test_main_job", number) for number in range(2)),
        *(("test_main_job_pages", number) for number in range(2)),
        *(("test_own_run", number) for number in range(3)),
        *(("test_many", number) for number in range(5)),
        ("test_few", 0),
    ]
