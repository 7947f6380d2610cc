"""How many workers a machine gets, and which GPU each sees."""

from __future__ import annotations

import pytest

from tasks.config import Runner
from tasks.workers.slots import slots


def test_one_worker_a_visible_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert slots(Runner()) == [{"CUDA_VISIBLE_DEVICES": "2"}, {"CUDA_VISIBLE_DEVICES": "5"}]


def test_more_workers_than_gpus_share_them_in_turn(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    shared = [place["CUDA_VISIBLE_DEVICES"] for place in slots(Runner(workers=5))]
    assert shared == ["2", "5", "2", "5", "2"]


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_count_as_none(monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert slots(Runner(workers=3)) == [{}, {}, {}]


def test_the_gpus_that_the_driver_lists_are_found(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho '  MIG 1g'\necho 'GPU 1: B (UUID: y)'\n")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slots(Runner()) == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]


def test_without_gpus_threads_share_the_cores(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert len(slots(Runner(threads_per_worker=10_000))) == 1
    assert len(slots(Runner())) >= 1
