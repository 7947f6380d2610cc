from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parents[2]


def test_the_target_takes_every_fault_and_every_long_test_wherever_it_is(request):
    shown = subprocess.run(["make", "-n", "faults", "ROUNDS=2"], cwd=HERE, capture_output=True, text=True, check=True)
    [command] = [line for line in shown.stdout.replace("\\\n", "").splitlines() if "pytest" in line]
    assert "FOLDCAM_FAULTS=1" in command
    assert "FOLDCAM_FAULTS_ROUNDS=2" in command
    assert command.partition("pytest")[2].split("--timeout")[0].strip() == '-m "faults or long"'
    assert request.node.get_closest_marker("faults")
