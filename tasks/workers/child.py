"""The program of a worker process: orders come in as JSON lines, events and results go out as JSON lines."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from typing import IO, Any


def main() -> None:
    """Serve orders until the parent closes the pipe or dies."""
    replies = _private_output()
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(orders,), daemon=True).start()
    from tasks.workers.fold_run import warm_up

    warm_up(int(sys.argv[1]), sys.argv[2] == "deterministic")
    _send(replies, {"ready": True})
    while True:
        line = orders.get()
        _send(replies, _answer(json.loads(line), replies))


def _private_output() -> IO[str]:
    """Keep standard output for replies alone; whatever libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return replies


def _read_orders(orders: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)


def _answer(fields: dict[str, Any], replies: IO[str]) -> dict[str, Any]:
    from tasks.config import InputError
    from tasks.training.fit import Diverged
    from tasks.workers.champion_run import ask_champion, write_champion
    from tasks.workers.cost_run import measure_cost
    from tasks.workers.fold_run import compute_features, run_fold
    from tasks.workers.order import Order
    from tasks.workers.photograph_run import explain_photographs

    def emit(event: dict[str, Any]) -> None:
        _send(replies, {"event": event})

    try:
        order = Order(**fields)
        jobs = {
            "features": compute_features,
            "fold": run_fold,
            "cost": measure_cost,
            "photographs": explain_photographs,
            "write-champion": write_champion,
            "ask-champion": ask_champion,
        }
        return {"result": jobs[order.job](order, emit)}
    except (InputError, Diverged) as fault:
        return {"failed": str(fault), "final": True}
    except MemoryError as fault:
        return {"failed": f"the worker ran out of memory: {fault}", "final": False}
    except Exception as fault:
        traceback.print_exc()
        return {"failed": f"{type(fault).__name__}: {fault}", "final": False}


def _send(replies: IO[str], message: dict[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
