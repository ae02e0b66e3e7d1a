"""Examples that are made ahead of time keep their order, and workers stop quietly."""

from __future__ import annotations

import gc
import threading
from functools import partial

import pytest
import torch

from expotion_lite.lab.loaders import prefetch_with_thread, prefetch_with_workers


def test_examples_start_at_any_number_and_keep_their_order():
    numbers = prefetch_with_workers(partial(torch.add, torch.tensor(10)), workers=0)
    assert [int(numbers(i)) for i in (4, 5, 6)] == [14, 15, 16]
    with pytest.raises(ValueError, match="7 comes next"):
        numbers(9)


def test_a_thread_makes_the_next_example_in_order():
    threads = set()

    def make(i: int) -> int:
        threads.add(threading.current_thread())
        return 10 * i

    numbers = prefetch_with_thread(make)
    assert [numbers(i) for i in (4, 5, 6)] == [40, 50, 60]
    assert len(threads) == 1 and threading.current_thread() not in threads

    with pytest.raises(ZeroDivisionError):
        prefetch_with_thread(lambda i: 1 / 0)(0)


@pytest.mark.slow
def test_workers_keep_the_order():
    numbers = prefetch_with_workers(partial(torch.add, torch.tensor(10)), workers=2)
    assert [int(numbers(i)) for i in range(3, 9)] == [13, 14, 15, 16, 17, 18]


def many_tensors(i):
    """Return so many tensors that a worker is still sending them when it is told to stop."""
    return [torch.full((2000,), i) for _ in range(300)]


@pytest.mark.slow
def test_workers_stop_quietly_while_they_send(capfd):
    for _ in range(3):
        numbers = prefetch_with_workers(many_tensors, workers=2)
        assert all(tensor.eq(5).all() for tensor in numbers(5))
        del numbers
        gc.collect()  # ends the workers
    assert not capfd.readouterr().err
