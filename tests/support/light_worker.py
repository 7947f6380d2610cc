"""A worker's program that is there at once, for what its parent promises: TensorFlow takes seconds to load."""

from __future__ import annotations

from tasks.workers.order import Order

PROGRAM = """#!/bin/sh
while read order; do
  case "$order" in
    *endless*) echo '{"event": {"state": "training"}}'; while :; do sleep 0.2; echo '{"alive": true}'; done ;;
    *) echo '{"result": {"done": true}}' ;;
  esac
done
"""

QUICK, ENDLESS = Order("features", {}, "", "", "", "quick"), Order("features", {}, "", "", "", "endless")
"""What it does at once, and what it never ends."""
