"""Run Python code in a process of its own and see whom it, and what it forks, calls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HOOK = """
import os, sys

NAMES = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
         "socket.gethostbyaddr", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}
audit = os.open(os.environ["AUDIT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # forked children write to it, too

def hook(event, args):
    if event in NAMES:
        os.write(audit, f"{event} {args[:2] if event.startswith('subprocess') else args!r}\\n".encode())

sys.addaudithook(hook)
"""
CONTINUOUS_INTEGRATION = ("CI", "TF_BUILD", "JENKINS_URL")  # with one of them telemetry keeps quiet by itself
LOCAL = "/sbin/ldconfig"  # says where libraries are: PyTorch for GPUs looks for theirs


def outgoing_calls(code: str, home: Path, **environment: str) -> list[str]:
    """Run code with `home` as its home folder.

    Returns:
        The audit events that reach out of the process (connections, look-ups of names, programs started), each with
        its arguments; without the search for libraries on this machine.

    Raises:
        AssertionError: the code failed.
    """
    home.mkdir(exist_ok=True)
    inherited = {key: value for key, value in os.environ.items() if key not in CONTINUOUS_INTEGRATION}
    audit = home.parent / "audit"
    done = subprocess.run(
        [sys.executable, "-c", HOOK + code],
        env={**inherited, "HOME": str(home), "AUDIT": str(audit), **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return [line for line in audit.read_text().splitlines() if LOCAL not in line]
