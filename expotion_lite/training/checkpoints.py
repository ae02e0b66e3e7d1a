"""A training loop that is bounded by time and survives a kill, with its whole state in one safetensors file."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ExpotionError, printable
from ..files import atomic_write
from ..limits import MAX_LOG_BYTES
from ..stored import parse_json, read_json, read_text

if TYPE_CHECKING:
    import torch


class OptimizerState(Protocol):
    """The parts of a `torch.optim.Optimizer` that are saved and scheduled here."""

    param_groups: list[dict[str, Any]]
    state: defaultdict[torch.Tensor, Any]
    defaults: dict[str, Any]


def save_checkpoint(path: Path, module: torch.nn.Module, optimizer: OptimizerState, state: dict[str, Any]) -> None:
    """Write the trained weights of a module, its optimizer's moments and a small json `state`, as one whole file."""
    from safetensors.torch import save_file

    names = [name for name, p in module.named_parameters() if p.requires_grad]
    tensors = {f"weight/{name}": value.contiguous() for name, value in _trained_state(module, names).items()}
    parameters = dict(module.named_parameters())
    for name in names:
        for key, value in optimizer.state.get(parameters[name], {}).items():
            tensors[f"optimizer/{key}/{name}"] = value.detach().clone().contiguous()
    with atomic_write(path, overwrite=True) as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(state)})


def _trained_state(module: torch.nn.Module, names: list[str]) -> dict[str, torch.Tensor]:
    """Copy what training changes: the named parameters, and all buffers (such as codebooks)."""
    wanted = set(names) | {name for name, _ in module.named_buffers()}
    return {name: value.detach().clone() for name, value in module.state_dict().items() if name in wanted}


def load_checkpoint(path: Path, module: torch.nn.Module, optimizer: OptimizerState) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote, in place, and return its `state`.

    Raises:
        ExpotionError: the checkpoint is damaged, or belongs to another model.
    """
    from safetensors import SafetensorError, safe_open

    parameters = dict(module.named_parameters())
    weights: dict[str, torch.Tensor] = {}
    moments: dict[str, torch.Tensor] = {}
    try:
        with safe_open(path, "pt") as file:
            state = parse_json((file.metadata() or {})["state"])
            for key in file.keys():  # noqa: SIM118 - safe_open is no dict
                kind, name = key.split("/", 1)
                (weights if kind == "weight" else moments)[name] = file.get_tensor(key)
        _check_state(state, weights, moments, parameters)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ExpotionError(
            f"{path} is damaged ({str(error).splitlines()[0]}); remove it to start this training anew."
        ) from error
    names = [name for name, p in module.named_parameters() if p.requires_grad]
    if set(weights) != set(_trained_state(module, names)):
        raise ExpotionError(f"{path} belongs to another model; train in another folder, or remove it to start anew.")
    try:
        module.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ExpotionError(f"{path} belongs to a model of another size; train in another folder.") from error
    fused = optimizer.defaults.get("fused")
    for key, value in moments.items():
        kind, name = key.split("/", 1)
        if name not in parameters:
            raise ExpotionError(f"{path} belongs to another model; train in another folder, or remove it.")
        stays_on_cpu = kind == "step" and not fused  # only a fused optimizer counts its steps on the device
        optimizer.state[parameters[name]][kind] = value if stays_on_cpu else value.to(parameters[name].device)
    return state


def _check_state(
    state: Any,
    weights: dict[str, torch.Tensor],
    moments: dict[str, torch.Tensor],
    parameters: dict[str, torch.nn.Parameter],
) -> None:
    """Raise ValueError if the content of a checkpoint cannot be what `save_checkpoint` wrote."""
    if not isinstance(state, dict) or type(state["step"]) is not int or state["step"] < 0:
        raise ValueError("its step is no number")
    if type(state["seconds"]) not in (int, float) or not 0 <= state["seconds"] < math.inf:
        raise ValueError("its training time is no number")
    for name, value in [*weights.items(), *moments.items()]:
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{name} holds values that are NaN or infinite")
    for key, value in moments.items():
        kind, name = key.split("/", 1)
        if name in parameters and kind != "step" and value.shape != parameters[name].shape:
            raise ValueError(f"{key} has another shape than its weights")


def cosine(progress: float, warmup: float = 0.02, floor: float = 0.02) -> float:
    """Return the learning-rate factor at `progress` (0..1): a linear warm-up, then half a cosine down to the floor.

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
    optimizer: OptimizerState,
    step: Callable[[int, float], dict[str, float]],
    *,
    validate: Callable[[], dict[str, float]] | None = None,
    checkpoint_s: float = 60.0,
    log_every: int = 50,
    max_steps: int | None = None,
    enough: Callable[[], bool] | None = None,
    progress: bool = False,
    print_log: bool = False,
) -> int:
    """Call `step` until `hours` of training have been spent, over as many runs as it takes.

    The learning rates follow `cosine` over the time spent. The state is written to `folder/name.safetensors`, the
    numbers that `step` returns are averaged and written to `folder/log.jsonl`.

    Args:
        hours: training time in all, of this run and earlier ones.
        folder: where the state and the log are kept.
        name: names this stage of the training.
        module: its trainable parameters and its buffers are saved.
        optimizer: the optimizer of these parameters.
        step: takes one optimizer step, given its number and the progress 0..1, and returns what to log.
        validate: returns what else to log, at every tenth line of the log and at the end.
        checkpoint_s: seconds between two checkpoints; a kill loses no more.
        log_every: steps between two lines of the log.
        max_steps: number of steps in all, whatever the time; the learning rate then follows the steps.
        enough: returns whether to stop early; asked at the start and after each validation.
        progress: show a progress bar.
        print_log: print each line of the log.

    Returns:
        The number of steps taken in all.
    """
    import torch
    from tqdm.auto import tqdm

    checkpoint, log = folder / f"{name}.safetensors", folder / "log.jsonl"
    steps, seconds = 0, 0.0
    if checkpoint.exists():
        state = load_checkpoint(checkpoint, module, optimizer)
        steps, seconds = state["step"], state["seconds"]
        if progress or print_log:
            print(f"{name}: resumes at step {steps}, {seconds / 60:.1f} min", flush=True)
    _drop_lost_lines(log, name, steps)
    peaks = [group.setdefault("peak_lr", group["lr"]) for group in optimizer.param_groups]
    saved, averages = time.monotonic(), _Averages()

    def spent() -> float:
        return seconds / (hours * 3600) if max_steps is None else steps / max_steps

    bar = tqdm(
        total=100.0,
        initial=100 * spent(),
        desc=name,
        disable=not progress,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}",
    )
    done = spent() >= 1 or (enough is not None and enough())
    while not done:
        began, through = time.monotonic(), spent()
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * cosine(through)
        torch.manual_seed(steps)  # so that a resumed run draws the same numbers as an uninterrupted one
        averages.add(step(steps, through))
        steps += 1
        seconds += time.monotonic() - began
        done = spent() >= 1

        if steps % log_every == 0 or done:
            line = {"stage": name, "step": steps, "minutes": round(seconds / 60, 2)} | averages.take()
            validated = validate is not None and (steps % (10 * log_every) == 0 or done)
            if validate is not None and validated:
                line |= {f"held_out_{key}": round(value, 4) for key, value in validate().items()}
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            done = done or (validated and enough is not None and enough())
            bar.set_postfix_str(", ".join(f"{key} {line[key]:g}" for key in ("loss", "held_out_loss") if key in line))
            if print_log:
                print(line, flush=True)
        bar.update(min(100.0, 100 * spent()) - bar.n)

        if done or time.monotonic() - saved > checkpoint_s:
            save_checkpoint(checkpoint, module, optimizer, {"step": steps, "seconds": seconds})
            saved = time.monotonic()
    bar.close()
    return steps


class _Averages:
    """Running means of named numbers."""

    def __init__(self) -> None:
        """Start with none."""
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, values: dict[str, float]) -> None:
        """Add one value of each."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def take(self) -> dict[str, float]:
        """Return the means, rounded to 4 decimals, and start anew."""
        means = {name: round(value / self.count, 4) for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


def read_log(log: Path) -> list[dict[str, Any]]:
    """Read the lines of a training's log; empty if there is none.

    A last line that a kill has cut off is left out: its step is taken again. Other damaged lines are named on stderr.

    Args:
        log: the `log.jsonl`.

    Raises:
        ExpotionError: it is too large, or is no text.
    """
    try:
        lines = read_text(log, MAX_LOG_BYTES).splitlines() if log.exists() else []
    except (OSError, ValueError) as error:
        raise ExpotionError(f"{log} is damaged ({error}); remove it, or start anew with --overwrite.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = parse_json(line)
            measured = [value for name, value in row.items() if name.startswith("held_out_")]
            if (
                type(row["stage"]) is not str
                or type(row["step"]) is not int
                or not set(map(type, measured)) <= {int, float}
            ):
                raise TypeError
            rows.append(row)
        except (ValueError, KeyError, TypeError, AttributeError):
            if number < len(lines):
                print(f"Line {number} of {printable(log)} is damaged, and left out.", file=sys.stderr)
    return rows


def _drop_lost_lines(log: Path, stage: str, step: int) -> None:
    """Remove the log's lines of steps that a kill lost and that will be taken again, and damaged lines."""
    kept = [row for row in read_log(log) if row["stage"] != stage or row["step"] <= step]
    with atomic_write(log, overwrite=True) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))


def keep_plan(folder: Path, plan: dict[str, Any], *, resume: bool) -> None:
    """Write a training's settings into its folder, or check that they are those it was begun with.

    Every stage depends on the one before it, and the learning rate on the hours. A training that is resumed with other
    settings would fail silently.

    Raises:
        ExpotionError: the folder was begun and `resume` is false, or it was begun with other settings.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExpotionError(f"Cannot write into {folder} ({error.strerror}); choose another folder.") from error
    path = folder / "plan.json"
    if not path.exists():
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(plan) + "\n")
        return
    if not resume:
        raise ExpotionError(f"{folder} holds a training already; go on with it (--resume), or name another folder.")
    try:
        begun = read_json(path)
        if not isinstance(begun, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise ExpotionError(
            f"{path} is damaged ({error}), so the training cannot go on; start anew (--overwrite), or name another "
            "folder."
        ) from error
    changed = [name for name in sorted(begun.keys() | plan.keys()) if begun.get(name) != plan.get(name)]
    if changed:
        was, now = (", ".join(f"{name} {of.get(name)}" for name in changed) for of in (begun, plan))
        raise ExpotionError(
            f"{folder} was begun with {was}, not {now}; resume it with the same settings, or name another folder."
        )
