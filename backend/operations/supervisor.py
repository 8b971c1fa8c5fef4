"""Runs child processes that live and end together, however the parent is ended."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil

from model.errors import ClickmaskError

PATIENCE_S = 8.0  # for a child to finish what it is doing, before it is asked again and then killed
POLL_S = 0.5


class ChildEnded(ClickmaskError, RuntimeError):
    """A child ended by itself; the message names it, its exit status and the end of its log."""


class NoFreePort(ClickmaskError, OSError):
    """All ports of this machine are taken."""


class Stopped(Exception):
    """A signal asks this process to end."""


@dataclass(frozen=True)
class Child:
    """Holds a process with a name for messages, and the file its output goes to (None: where the parent's goes)."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path | None


def free_port(preferred: int = 0) -> int:
    """Find a port that is free on loopback now: the preferred one if possible.

    Raises:
        NoFreePort: there is none.
    """
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NoFreePort("no free port on 127.0.0.1: end some of the programs that listen")


def die_with_parent() -> None:
    """Have Linux end this process when its parent is gone, however it went; for a child, before exec."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def spawn(
    command: Sequence[str], environment: Mapping[str, str], log: Path | None
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own: Ctrl-C reaches only the parent, which ends its children in order.

    Args:
        environment: all of it; nothing is inherited.
        log: file to which its output is appended; None for the parent's own output.
    """
    with ExitStack() as stack:
        output = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            output = stack.enter_context(log.open("ab"))
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def end(process: subprocess.Popen[bytes], patience_s: float = PATIENCE_S) -> None:
    """End a child and everything it started: asked twice, then killed.

    A worker puts its job back after the first request.
    """
    family = _family(process.pid)
    for wish in (process.terminate, process.terminate, process.kill):
        try:
            wish()
            process.wait(patience_s)
            break
        except subprocess.TimeoutExpired:
            continue
    for member in family:
        try:
            member.kill()  # psutil knows a process by its start time, too: never one that only has the same number
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, patience_s)


def _family(pid: int) -> list[psutil.Process]:
    """Return the descendants of a child, and, where it is dead already, the orphans it left in its session."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    orphans = []
    for process in psutil.process_iter():
        with suppress(OSError):
            if os.getsid(process.pid) == pid:
                orphans.append(process)
    return orphans


class Supervisor:
    """Runs children within a context: whichever way it is left, they are ended, the last one first."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._watched: list[Child] = []

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *exc: Any) -> None:
        for child in reversed(self._children):
            end(child.process)

    def start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path | None
    ) -> None:
        """Start `clickmask ARGUMENTS` with this interpreter; `environment` is added to this process's own."""
        command = [sys.executable, "-m", "backend.cli", *arguments]
        root = str(Path(__file__).parents[2])  # so that it is found from any folder
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        process = spawn(command, {**os.environ, **environment, "PYTHONPATH": path}, log)
        self._children.append(Child(name, process, log))

    def watch(self, child: Child) -> None:
        """Look after a process that somebody else started and will end."""
        self._watched.append(child)

    def check(self) -> None:
        """Raise `ChildEnded` if a child, or one that is watched, is gone."""
        for child in (*self._watched, *self._children):
            if child.process.poll() is not None:
                said = f"; the end of {child.log}:\n{tail(child.log)}" if child.log else ""
                raise ChildEnded(f"{child.name} ended with status {child.process.returncode}{said}")

    def wait(self) -> NoReturn:
        """Wait until `Stopped` or `ChildEnded` is raised."""
        while True:
            self.check()
            time.sleep(POLL_S)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` at the first SIGINT, SIGTERM or SIGHUP within the context; ignore more while it is left.

    SIGHUP stays ignored where nohup has said so: then the end of the terminal ends nothing.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tail(log: Path) -> str:
    """Return the last 2000 characters of a log file; "" where there is none."""
    return log.read_text(errors="replace")[-2000:] if log.exists() else ""
