"""The program of a worker process: orders come in as JSON lines, events and results go out as JSON lines."""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import time
from typing import IO, Any

from tasks.workers.log_context import tell_process
from tasks.workers.log_lines import set_up_logs
from tasks.workers.watch import BEAT_SECONDS, is_out_of_memory

_log = logging.getLogger("tasks.workers.child")  # the module runs as a program
_sending = threading.Lock()


def main() -> None:
    """Serve orders until the parent closes the pipe or dies."""
    replies = _private_output()
    set_up_logs()
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(orders,), daemon=True).start()
    from tasks.workers.fold_run import warm_up

    warm_up(int(sys.argv[1]), sys.argv[2] == "deterministic")
    set_up_logs()  # again: the libraries that are loaded by now have made loggers of their own
    _send(replies, {"ready": True})
    busy = threading.Event()
    threading.Thread(target=_beat, args=(replies, busy), daemon=True).start()
    while True:
        line = orders.get()
        busy.set()
        answer = _answer(json.loads(line), replies)
        busy.clear()
        _send(replies, answer)


def _beat(replies: IO[str], busy: threading.Event) -> None:
    """Give a sign of life again and again while there is a job, whatever the job does."""
    while busy.wait():
        _send(replies, {"alive": True})
        time.sleep(BEAT_SECONDS)


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
    from tasks.tracking.refusals import refusal_of
    from tasks.training.fit import Diverged
    from tasks.workers.champion_run import ask_champion, write_champion
    from tasks.workers.cost_run import measure_cost
    from tasks.workers.fold_run import compute_features, run_fold
    from tasks.workers.order import Order, about
    from tasks.workers.photograph_run import explain_photographs

    def emit(event: dict[str, Any]) -> None:
        _send(replies, {"event": event})

    try:
        order = Order(**fields)
        tell_process(**about(order))
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
    except Exception as fault:
        refused = refusal_of(fault)
        if refused is not None:
            return {"failed": str(refused), "final": True}
        if is_out_of_memory(fault):
            return {"failed": f"the worker ran out of memory: {_asked_for(fault)}", "final": False, "memory": True}
        _log.exception("The job failed.")
        return {"failed": f"{type(fault).__name__}: {fault}", "final": False}


def _asked_for(fault: Exception) -> str:
    """Give the line of a message that says what there was no memory for; TensorFlow's are long."""
    lines = str(fault).strip().splitlines() or [type(fault).__name__]
    return next((line.strip() for line in lines if "OOM" in line), lines[0])[:300]


def _send(replies: IO[str], message: dict[str, Any]) -> None:
    with _sending:
        replies.write(json.dumps(message) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
