"""The most memory that a worker process held."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import psutil

from tasks.tracking.ledger import Ledger
from tasks.workers.order import Order
from tasks.workers.pool import WorkerPool

INTERVAL = 0.01


def peaks(orders: list[Order], tracking_uri: str) -> dict[str, float]:
    """Do the orders on one new worker; gives its peak `private` and `resident` memory in MB, and the `images` used."""
    ledger = Ledger(tracking_uri, "benchmark")
    highest = {"private": 0.0, "resident": 0.0}
    ended = threading.Event()

    def watch(pid: int) -> None:
        while not ended.wait(INTERVAL):
            for kind, value in memory_of(pid).items():
                highest[kind] = max(highest[kind], value)

    with WorkerPool([{}], threads=1, deterministic=orders[0].experiment["deterministic"]) as pool:
        watcher = threading.Thread(target=watch, args=pool.process_ids())
        watcher.start()
        try:
            images = pool.do(orders[0], lambda _: None)["images"]
            for order in orders[1:]:
                run_id = ledger.runs.start("fold", "fold", parent=None, tags={})
                pool.do(replace(order, tracking_uri=tracking_uri, run_id=run_id), lambda _: None)
        finally:
            ended.set()
            watcher.join()
    return highest | {"images": images}


def memory_of(pid: int) -> dict[str, float]:
    """Give the `private` memory that a process holds now and its peak `resident` memory, in MB; nothing if it ended."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if "VmHWM" in fields:
            return {"private": _mb(fields["RssAnon"]), "resident": _mb(fields["VmHWM"])}
        return {}
    found = psutil.Process(pid).memory_full_info()
    return {"private": found.uss / 1e6, "resident": found.rss / 1e6}


def _mb(field: str) -> float:
    return int(field.split()[0]) * 1024 / 1e6
