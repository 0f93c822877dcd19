"""Short runs of a tiny network, and what they end with."""

import dataclasses
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from ml.training.plan import CLASSIFY, METRIC

ROOT = Path(__file__).resolve().parents[3]
SHORT: dict[str, Any] = {"epochs": 3, "batch": 8, "sizes": ((1.0, 24),), "warm_up": 0.1}
PLAN = dataclasses.replace(METRIC, **SHORT, ema=0.9)
PLANS = {
    "metric": dataclasses.replace(METRIC, **SHORT, ema_warm_up=True, l2_sp=0.1, keep=0.3),
    "classify": dataclasses.replace(CLASSIFY, **SHORT | {"warm_up": 0}, frozen=("conv1", "bn1")),
    "thawed": dataclasses.replace(CLASSIFY, **SHORT, frozen=("conv1", "bn1"), thaw=0.5),
}


def state(network):
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


class Interrupted(Exception):
    """Raised where a process would be killed."""


def stop_in(epoch):
    def after_epoch(run):
        if len(run.epochs) == epoch:
            raise Interrupted

    return after_epoch


def killed_after_an_epoch(command: list[str], folder: Path) -> None:
    """Run `command` and kill it, as the kernel would, when the folder's first checkpoint is there."""
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "history.jsonl").exists():
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "weights.safetensors").exists()
