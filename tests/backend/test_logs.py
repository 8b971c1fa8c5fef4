"""What reaches standard error, in a process of its own: the root logger belongs to pytest here."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging
from backend.logs import configure, request_id
configure("info", ("abcdef12",))
request_id.set("r1")
log = logging.getLogger("clickmask.test")
log.info("token %s", "abcdef12")
log.debug("not shown")
try:
    raise ValueError("redis://:word@host:6379 is away")
except ValueError:
    log.exception("failed")
"""


def test_lines_carry_the_request_and_no_secret() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    first, *rest = done.stderr.splitlines()
    assert first.endswith("INFO    r1 clickmask.test: token ***")
    assert "Traceback" in rest[1]
    assert "redis://***@host:6379 is away" in rest[-1]
    assert "word" not in done.stderr and "not shown" not in done.stderr
