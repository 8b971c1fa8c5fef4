"""Children end with the parent, whichever way it goes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from backend.operations.supervisor import (
    Child,
    ChildEnded,
    Supervisor,
    end,
    free_port,
    spawn,
)
from tests.live_processes import alive
from tests.waiting import until

ROOT = Path(__file__).parents[3]

# Starts a grandchild, says its number, and refuses to end.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""


def test_a_stubborn_child_and_its_own_children_are_killed(tmp_path):
    log = tmp_path / "child.log"
    process = spawn([sys.executable, "-c", STUBBORN], os.environ, log)
    grandchild = psutil.Process(int(until("its number", lambda: log.exists() and log.read_text())))
    end(process, patience_s=0.3)
    assert process.returncode == -signal.SIGKILL
    until("its end", lambda: not alive([grandchild]))  # which may last longer than the patience


def test_a_child_that_ends_by_itself_is_reported_with_its_log(tmp_path):
    log = tmp_path / "child.log"
    process = spawn([sys.executable, "-c", "print('no space left'); exit(3)"], os.environ, log)
    process.wait()
    with (
        Supervisor() as children,
        pytest.raises(ChildEnded, match=r"printer ended with status 3(?s:.*)no space left"),
    ):
        children.watch(Child("printer", process, log))
        children.check()


def test_a_started_subcommand_ends_with_the_context(tmp_path):
    with Supervisor() as children:
        children.start("help", ["--help"], {}, tmp_path / "help.log")
        with pytest.raises(ChildEnded, match="help ended with status 0"):
            children.wait()
    assert "Usage: clickmask" in (tmp_path / "help.log").read_text()


# In a process of its own: a signal that goes astray would end all tests.
SIGNALLED = """
import os, signal, sys, time
from backend.operations.supervisor import Stopped, stoppable

number = signal.Signals(int(sys.argv[1]))
before = signal.default_int_handler
signal.signal(number, before)
try:
    with stoppable():
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), number)
            time.sleep(0.05)
            print("cleaned up")
except Stopped as error:
    print(error)
print("as before" if signal.getsignal(number) == before else "changed")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_once_and_a_second_does_not_disturb_the_cleaning_up(number):
    command = [sys.executable, "-c", SIGNALLED, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["cleaned up", number.name, "as before"], done.stderr


def test_under_nohup_the_end_of_the_terminal_ends_nothing():
    script = """
import os, signal
from backend.operations.supervisor import stoppable

with stoppable():
    os.kill(os.getpid(), signal.SIGHUP)
    print("goes on")
"""
    command = ["nohup", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "goes on\n", done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent is gone")
def test_children_end_even_when_the_parent_is_killed(tmp_path):
    parent = f"""
import os, sys, time
from pathlib import Path
from backend.operations.supervisor import spawn
child = spawn([sys.executable, "-c", "import time; time.sleep(600)"], os.environ, Path({str(tmp_path / "log")!r}))
print(child.pid, flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    process.kill()
    process.wait()
    until("its end", lambda: not alive([child]))


def test_free_port_gives_the_wanted_one_only_where_it_is_free():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in (port, 0)
    wanted = free_port()
    assert free_port(wanted) == wanted
