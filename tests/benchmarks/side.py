"""The program of one measurement: imports, sets up, then does the work on the clock.

A function may take `begin` and call it when the work proper starts; else the clock starts when it is called.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import sys
import time
from pathlib import Path


class Stopwatch:
    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.cpu, self.wall = _cpu(), time.perf_counter()

    def read(self) -> dict[str, float]:
        return {"cpu": _cpu() - self.cpu, "wall": time.perf_counter() - self.wall}


def _cpu() -> float:
    """Give the CPU seconds of this process and of its ended children."""
    return sum(os.times()[:4])


def main() -> None:
    order, answer = (Path(argument) for argument in sys.argv[1:3])
    target, arguments, core = pickle.loads(order.read_bytes())  # written by the suite itself
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    module, name = target.split(":")
    function = getattr(importlib.import_module(module), name)
    watch = Stopwatch()
    if "begin" in inspect.signature(function).parameters:
        arguments["begin"] = watch.start
    watch.start()
    result = function(**arguments)
    answer.write_bytes(pickle.dumps({"result": result, **watch.read()}))


if __name__ == "__main__":
    main()
