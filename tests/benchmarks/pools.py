"""Fold runs through warm pools of one worker and of two."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tasks.tracking.ledger import Ledger
from tasks.workers.order import Order
from tasks.workers.pool import WorkerPool


def paces(orders: list[Order], tracking_uri: str, repeats: int) -> dict[str, Any]:
    """Do all orders with two workers, then with one, in turn; gives `seconds` and test log `losses` of either side."""
    ledger = Ledger(tracking_uri, "benchmark")
    seconds: tuple[list[float], list[float]] = ([], [])
    losses: tuple[list[dict[int, float]], list[dict[int, float]]] = ([], [])

    def all_on(pool: WorkerPool, n_workers: int) -> dict[int, float]:
        with ThreadPoolExecutor(n_workers) as threads:
            results = threads.map(lambda order: pool.do(_logged(order, ledger), lambda _: None), orders)
            return {order.fold: found["metrics"]["log_loss"] for order, found in zip(orders, results, strict=True)}

    options: dict[str, Any] = {"threads": 1, "deterministic": orders[0].experiment["deterministic"]}
    with WorkerPool([{}, {}], **options) as two, WorkerPool([{}], **options) as one:
        sides = ((two, 2), (one, 1))
        for pool, n_workers in sides:
            _warm(pool, orders, n_workers, ledger)
        for _ in range(repeats):
            for side, (pool, n_workers) in enumerate(sides):
                started = time.perf_counter()
                losses[side].append(all_on(pool, n_workers))
                seconds[side].append(time.perf_counter() - started)
    return {"seconds": seconds, "losses": losses}


def _warm(pool: WorkerPool, orders: list[Order], n_workers: int, ledger: Ledger) -> None:
    """Give every worker one fold run, so that each has its model compiled."""
    with ThreadPoolExecutor(n_workers) as threads:
        list(threads.map(lambda order: pool.do(_logged(order, ledger), lambda _: None), orders[:n_workers]))


def _logged(order: Order, ledger: Ledger) -> Order:
    run_id = ledger.runs.start("fold", f"{order.backbone}/{order.fold}", parent=None, tags={})
    return replace(order, tracking_uri=ledger.tracking_uri, run_id=run_id)
