"""Several devices for one training: a process for each, which Lightning Fabric joins into one group.

Fabric's own way is to start the command line again for every device; a job in a worker has none.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import torch
from torch import distributed, multiprocessing
from torch.multiprocessing.spawn import ProcessException

from model.cores import cores

T = TypeVar("T")
POLL_S = 0.2


def spread(count: int, task: Callable[..., Iterator[T]], *arguments: Any) -> Generator[T]:
    """Run a generator function in `count` processes at once and yield what the first of them yields.

    Closing the generator ends the processes.

    Args:
        task, arguments: anything that can be pickled.

    Raises:
        Exception: as the task raised it, in whichever process.
        RuntimeError: a process was killed.
    """
    # Pickled here, in one piece: the processes would otherwise get tensors through shared memory, of which containers
    # have little, and the caller's own would move there, too.
    payload = pickle.dumps((task, arguments))
    messages = multiprocessing.get_context("spawn").SimpleQueue()
    group = multiprocessing.start_processes(
        _rank, (count, _free_port(), messages, payload), count, join=False, start_method="spawn"
    )
    try:
        ended = False
        while not ended:
            try:
                ended = group.join(timeout=POLL_S)
            except ProcessException as error:
                _raise_first(messages)
                raise RuntimeError(f"training on {count} devices: {error}") from error
            while not messages.empty():
                yield _open(messages.get())
    finally:
        for process in group.processes:
            process.kill()
            process.join()


def fabric_class():  # type: ignore[no-untyped-def]
    """Import Lightning Fabric, from the small package or from the whole one; late, because it is slow."""
    try:
        from lightning_fabric import Fabric
    except ImportError:
        from lightning.fabric import Fabric
    return Fabric


def _rank(index: int, count: int, port: int, messages: Any, payload: bytes) -> None:
    """One process; the variables are those of torchrun, by which Fabric knows that it need not start others."""
    os.environ |= {"LOCAL_RANK": str(index), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(max(cores() // count, 1))
    try:
        task, arguments = pickle.loads(payload)
        for item in task(*arguments):
            if index == 0:
                messages.put(item)
        if distributed.is_initialized():  # one that leaves the group before the others makes them abort
            distributed.barrier()
            distributed.destroy_process_group()
    except Exception as error:
        messages.put(error)
        raise


def _open(message: Any) -> Any:
    if isinstance(message, Exception):
        raise message
    return message


def _raise_first(messages: Any) -> None:
    """Raise the first error that a process reported; the others fail because it is gone."""
    while not messages.empty():
        _open(messages.get())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
