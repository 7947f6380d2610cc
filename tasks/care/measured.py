"""The program of a process that loads TensorFlow to look: a question comes in as JSON, an answer goes out as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any


def main() -> None:
    """Answer one question on standard input with the last line on standard output."""
    question = json.load(sys.stdin)
    from tasks.backbones.speed import gpu_names
    from tasks.config import Experiment
    from tasks.training.sizes import sizes_of

    sizes: dict[str, Any] = {}
    if question["experiment"] is not None:
        experiment = Experiment.model_validate(question["experiment"])
        for name in experiment.backbones:
            sizes[name] = sizes_of(experiment, name, question["n_images"], question["n_outputs"]).to_json()
    sys.stdout.write("\n" + json.dumps({"gpus": gpu_names(), "sizes": sizes}) + "\n")


if __name__ == "__main__":
    main()
