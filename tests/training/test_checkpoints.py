"""A training that is killed, resumed, or bounded by time or patience."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from expotion_lite.errors import ExpotionError
from expotion_lite.training.checkpoints import keep_plan, train_for

KILLED = """
import json, os, sys, time
from pathlib import Path
import torch
from expotion_lite.training.checkpoints import train_for

folder, kill_at = Path(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)

def step(i, progress):
    if i == kill_at:
        os.kill(os.getpid(), 9)
    loss = (module(torch.randn(4, 3)) - 1).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": float(loss)}

train_for(1, folder, "x", module, optimizer, step, checkpoint_s=0, log_every=1, max_steps=10)
"""


@pytest.mark.slow
def test_a_killed_training_ends_like_an_uninterrupted_one(tmp_path):
    """After SIGKILL in the middle of step 5, weights, moments, buffers, random draws and the log are the same."""
    for folder, kills in (("once", [-1]), ("twice", [5, -1])):
        (tmp_path / folder).mkdir()
        for kill_at in kills:
            run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / folder), str(kill_at)])
            assert run.returncode == (-signal.SIGKILL if kill_at >= 0 else 0)
    once, twice = (load_file(tmp_path / folder / "x.safetensors") for folder in ("once", "twice"))
    assert once.keys() == twice.keys() and all(torch.equal(once[name], twice[name]) for name in once)
    logs = [(tmp_path / folder / "log.jsonl").read_text().splitlines() for folder in ("once", "twice")]
    losses, again = ([json.loads(line)["loss"] for line in log] for log in logs)
    assert len(losses) == 10 and losses == again


def test_lines_of_lost_steps_leave_the_log(tmp_path):
    def run(max_steps):
        module = torch.nn.Linear(1, 1)
        optimizer = torch.optim.AdamW(module.parameters())
        train_for(
            1, tmp_path, "x", module, optimizer, lambda i, progress: {"loss": 1.0 * i}, log_every=1, max_steps=max_steps
        )

    run(2)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"stage": "x", "step": 3, "loss": 9.0}\n{"stage": "other", "step": 7}\n{"stage": "x", "st')
    run(3)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(row["stage"], row["step"]) for row in rows] == [("x", 1), ("x", 2), ("other", 7), ("x", 3)]


def test_a_folder_is_not_resumed_with_other_settings(tmp_path):
    keep_plan(tmp_path / "run", {"hours": 1.0}, resume=False)
    keep_plan(tmp_path / "run", {"hours": 1.0}, resume=True)
    with pytest.raises(ExpotionError, match="go on with it .--resume."):
        keep_plan(tmp_path / "run", {"hours": 1.0}, resume=False)
    with pytest.raises(ExpotionError, match="was begun with hours 1.0, not hours 2.0; .* name another folder"):
        keep_plan(tmp_path / "run", {"hours": 2.0}, resume=True)


def test_the_time_budget_counts_all_runs_together(tmp_path):
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(module.parameters())
    first, again = (
        train_for(0.2 / 3600, tmp_path, "y", module, optimizer, lambda i, progress: {"p": progress}, log_every=10_000)
        for _ in range(2)
    )
    assert first == again


def test_a_training_stops_when_it_is_enough(tmp_path):
    module, validations = torch.nn.Linear(1, 1), []

    def validate():
        validations.append(1)
        return {"loss": 0.0}

    def run():
        optimizer = torch.optim.AdamW(module.parameters())
        return train_for(
            1,
            tmp_path,
            "x",
            module,
            optimizer,
            lambda i, progress: {"loss": 0.0},
            validate=validate,
            log_every=1,
            max_steps=100,
            enough=lambda: len(validations) >= 2,
        )

    assert run() == 20, "there is a validation every ten lines of the log"
    assert run() == 20, "a resumed training does not continue either"


def test_a_silent_training_prints_nothing_and_a_printed_log_says_where_it_resumes(tmp_path, capsys):
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(module.parameters())
    for max_steps, print_log in ((2, False), (4, True)):
        train_for(
            1,
            tmp_path,
            "x",
            module,
            optimizer,
            lambda i, progress: {"loss": 0.5},
            log_every=1,
            max_steps=max_steps,
            print_log=print_log,
        )
        if not print_log:
            assert not capsys.readouterr().out
    printed = capsys.readouterr().out
    assert "x: resumes at step 2" in printed and "'step': 4" in printed
