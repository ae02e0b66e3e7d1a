"""Training that survives a kill: a loop bounded by time, whose whole state lies in one safetensors file."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ExpotionError
from ..files import writing

if TYPE_CHECKING:
    import torch


def save_checkpoint(path: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Write the trained weights of a module, its optimizer's moments and a small json `state`: whole, or not at all."""
    from safetensors.torch import save_file

    names = [name for name, p in module.named_parameters() if p.requires_grad]
    tensors = {f"weight/{name}": value.contiguous() for name, value in _trained_state(module, names).items()}
    parameters = dict(module.named_parameters())
    for name in names:
        for key, value in optimizer.state.get(parameters[name], {}).items():
            tensors[f"optimizer/{key}/{name}"] = value.detach().clone().contiguous()
    with writing(path, overwrite=True) as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(state)})


def _trained_state(module: torch.nn.Module, names: list[str]) -> dict[str, torch.Tensor]:
    """What training changes: parameters with a gradient, and buffers (codebooks). Returns name -> tensor."""
    wanted = set(names) | {name for name, _ in module.named_buffers()}
    return {name: value.detach().clone() for name, value in module.state_dict().items() if name in wanted}


def load_checkpoint(path: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """Restore what `save_checkpoint` wrote, in place, and return its `state`."""
    from safetensors import safe_open

    weights, moments = {}, {}
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["state"])
        for key in file.keys():  # noqa: SIM118 - safe_open is no dict
            kind, name = key.split("/", 1)
            (weights if kind == "weight" else moments)[name] = file.get_tensor(key)
    names = [name for name, p in module.named_parameters() if p.requires_grad]
    if set(weights) != set(_trained_state(module, names)):
        raise ExpotionError(f"{path} belongs to another model; train in another folder, or remove it to start anew.")
    try:
        module.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ExpotionError(f"{path} belongs to a model of another size; train in another folder.") from error
    parameters, fused = dict(module.named_parameters()), optimizer.defaults.get("fused")
    for key, value in moments.items():
        kind, name = key.split("/", 1)
        stays = kind == "step" and not fused  # only a fused optimizer counts its steps on the device
        optimizer.state[parameters[name]][kind] = value if stays else value.to(parameters[name].device)
    return state


def _forget_after(log: Path, stage: str, step: int) -> None:
    """Drop the lines of steps that were lost with a kill and will be taken again, and a line that the kill cut off."""
    kept = []
    for line in log.read_text().splitlines() if log.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["stage"] != stage or row["step"] <= step:
            kept.append(line + "\n")
    with writing(log, overwrite=True) as temporary:
        temporary.write_text("".join(kept))


def cosine(progress: float, warmup: float = 0.02, floor: float = 0.02) -> float:
    """Learning-rate factor for a training that is `progress` (0..1) through: linear warm-up, then half a cosine.

    Example:
        >>> cosine(0.02), round(cosine(1.0), 2)
        (1.0, 0.02)
    """
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def train_for(
    hours: float,
    folder: Path,
    name: str,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: Callable[[int, float], dict[str, float]],
    *,
    validate: Callable[[], dict[str, float]] | None = None,
    checkpoint_s: float = 60.0,
    log_every: int = 50,
    max_steps: int | None = None,
    enough: Callable[[], bool] | None = None,
    progress: bool | None = False,
) -> int:
    """Call `step` until `hours` of training have been spent, over as many runs as it takes.

    The learning rate follows `cosine` over the time spent. The state is written to `folder/name.safetensors` about
    every `checkpoint_s` seconds, so that a kill loses no more than that; curves go to `folder/log.jsonl`.

    Args:
        hours: training time in all, of this and of earlier runs.
        folder: where the state and the log are kept.
        name: of this stage.
        module: whose weights are trained; `optimizer`: over them.
        step: given the number of the step and the progress 0..1, takes one optimiser step and returns what to log.
        validate: measured at every tenth log line and at the end.
        log_every: steps between log lines.
        max_steps: stop after so many steps in all, whatever the time; the learning rate then follows the steps.
        enough: asked at the start and after each validation whether to stop early.
        progress: True shows a bar with the time left, False prints the log, None says nothing.

    Returns:
        The number of steps taken in all.
    """
    import torch
    from tqdm.auto import tqdm

    checkpoint = folder / f"{name}.safetensors"
    for unfinished in folder.glob(f".{name}-*.safetensors"):  # a kill while one was being written
        unfinished.unlink()
    state = {"step": 0, "seconds": 0.0}
    if checkpoint.exists():
        state = load_checkpoint(checkpoint, module, optimizer)
        if progress is not None:
            print(f"{name}: resumes at step {state['step']}, {state['seconds'] / 60:.1f} min", flush=True)
    _forget_after(folder / "log.jsonl", name, state["step"])
    peaks = [group.setdefault("peak_lr", group["lr"]) for group in optimizer.param_groups]
    budget, saved, sums, count = hours * 3600, time.monotonic(), {}, 0

    def spent() -> float:
        return state["seconds"] / budget if max_steps is None else state["step"] / max_steps

    bar = tqdm(total=100.0, initial=100 * spent(), desc=name, disable=not progress,
               bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}")  # fmt: skip
    done = spent() >= 1 or (enough is not None and enough())
    while not done:
        began = time.monotonic()
        through = spent()
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * cosine(through)
        torch.manual_seed(state["step"])  # a resumed run draws what an uninterrupted one would
        for key, value in step(state["step"], through).items():
            sums[key] = sums.get(key, 0.0) + value
        count += 1
        state["step"] += 1
        state["seconds"] += time.monotonic() - began
        done = spent() >= 1
        if state["step"] % log_every == 0 or done:
            line = {"stage": name, "step": state["step"], "minutes": round(state["seconds"] / 60, 2)}
            line |= {key: round(value / count, 4) for key, value in sums.items()}
            validated = validate is not None and (state["step"] % (10 * log_every) == 0 or done)
            if validated:
                line |= {f"held_out_{key}": round(value, 4) for key, value in validate().items()}
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            done = done or (validated and enough is not None and enough())
            bar.set_postfix_str(", ".join(f"{key} {line[key]:g}" for key in ("loss", "held_out_loss") if key in line))
            if progress is False:
                print(line, flush=True)
            sums, count = {}, 0
        bar.update(min(100.0, 100 * spent()) - bar.n)
        if done or time.monotonic() - saved > checkpoint_s:
            save_checkpoint(checkpoint, module, optimizer, state)
            saved = time.monotonic()
    bar.close()
    return state["step"]


def keep_plan(folder: Path, plan: dict, *, resume: bool) -> None:
    """Write down what a folder's training is, so that it is not gone on with as another.

    Every stage is made for the one before it, and the learning rate for the time: to mix two plans would be silent
    nonsense.

    Raises:
        ExpotionError: the folder was begun and `resume` is false, or it was begun with another plan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.json"
    if not path.exists():
        with writing(path) as temporary:
            temporary.write_text(json.dumps(plan) + "\n")
    elif not resume:
        raise ExpotionError(f"{folder} holds a training already; go on with it (--resume), or name another folder.")
    elif (begun := json.loads(path.read_text())) != plan:
        was, now = (
            ", ".join(
                f"{name} {of.get(name)}"
                for name in sorted(begun.keys() | plan.keys())
                if begun.get(name) != plan.get(name)
            )
            for of in (begun, plan)
        )
        raise ExpotionError(f"{folder} was begun with {was}, not {now}; go on as it was begun, or name another folder.")
