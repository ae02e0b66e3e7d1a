"""Training examples that are made as they are needed, in an order that a resumed run repeats."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

T = TypeVar("T")
WORKERS = max(1, min(8, (os.cpu_count() or 2) - 1))


class _Numbered(IterableDataset):
    """make(start), make(start + 1), ...; of n workers each makes every n-th."""

    def __init__(self, make: Callable[[int], T], start: int) -> None:
        self.make, self.start = make, start

    def __iter__(self) -> Iterator[T]:
        worker = get_worker_info()
        first, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return (self.make(i) for i in count(self.start + first, stride))


def _leave_at_once(worker: int) -> None:
    """Let a worker that is told to stop exit before Python is taken down around the thread that still sends tensors.

    That thread is in the midst of torch then, where it cannot be ended: "terminate called", and the process is aborted.
    """
    atexit.register(os._exit, 0)


def ahead(make: Callable[[int], T], workers: int = WORKERS) -> Callable[[int], T]:
    """Let worker processes make ahead what a training will ask for next.

    Args:
        make: a number to tensors, at module level or a `functools.partial` of that, so that a process can be given it.
        workers: processes; 0 makes everything when it is asked for.

    Returns:
        A function that returns what `make` does, to be called with i, i + 1, i + 2, ... from any i.

    Example:
        >>> squares = ahead(lambda i: i * i, workers=0)
        >>> squares(3), squares(4)
        (9, 16)
    """
    source, expected = None, 0

    def following(i: int) -> T:
        nonlocal source, expected
        if source is None:
            context = {"multiprocessing_context": "spawn", "prefetch_factor": 4} if workers else {}
            loader = DataLoader(
                _Numbered(make, i), batch_size=None, num_workers=workers, worker_init_fn=_leave_at_once, **context
            )
            source = iter(loader)
        elif i != expected:
            raise ValueError(f"Number {expected} comes next, not {i}.")
        expected = i + 1
        return next(source)

    return following


def one_ahead(make: Callable[[int], T]) -> Callable[[int], T]:
    """Let a thread make the next example while this one is learned from: torch's work then fills idle cores.

    Args:
        make: a number to an example, in order, like what `ahead` returns; called in one other thread only.

    Returns:
        A function that returns what `make` does, to be called with i, i + 1, i + 2, ... from any i.

    Example:
        >>> squares = one_ahead(lambda i: i * i)
        >>> squares(3), squares(4)
        (9, 16)
    """
    thread, waiting = ThreadPoolExecutor(1), {}

    def following(i: int) -> T:
        example = waiting.pop(i) if i in waiting else thread.submit(make, i)
        waiting[i + 1] = thread.submit(make, i + 1)
        return example.result()

    return following
