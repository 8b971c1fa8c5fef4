"""Processes of one training: joined, heard, and gone with it."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest
import torch
from lightning_fabric import Fabric

from fine_tune.training.multi_gpu import spread
from tests.live_processes import alive


def meet() -> Iterator[list[int]]:
    """The ranks that Fabric finds in the group, as each process sees them."""
    fabric = Fabric(accelerator="cpu", devices=2)
    fabric.launch()
    yield fabric.all_gather(torch.tensor(fabric.global_rank)).tolist()


def fail_in(rank: str, error: Exception) -> Iterator[int]:
    yield 1
    if os.environ["LOCAL_RANK"] == rank:
        raise error
    time.sleep(600)


def die_in(rank: str) -> Iterator[int]:
    yield 1
    if os.environ["LOCAL_RANK"] == rank:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def go_on(start: int) -> Iterator[int]:
    while True:
        yield start
        start += 1


def test_fabric_finds_the_processes_in_one_group():
    assert list(spread(2, meet)) == [[0, 1]]


@pytest.mark.parametrize(
    ("rank", "error"),
    [("0", FloatingPointError("the loss became nan")), ("1", torch.OutOfMemoryError("out of memory"))],
)
def test_what_one_process_raises_is_raised(rank, error):
    with pytest.raises(type(error), match=str(error)):
        list(spread(2, fail_in, rank, error))


def test_a_killed_process_ends_all():
    with pytest.raises(RuntimeError, match=r"training on 2 devices: .*SIGKILL"):
        list(spread(2, die_in, "1"))


def test_closing_ends_the_processes():
    with closing(spread(2, go_on, 5)) as items:
        assert [next(items), next(items)] == [5, 6]
        family = psutil.Process().children(recursive=True)
        assert len(alive(family)) >= 2
    assert not [p for p in alive(family) if "spawn_main" in " ".join(p.cmdline())]
