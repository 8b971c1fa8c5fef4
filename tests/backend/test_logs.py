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


DEBUG = """
import logging
from backend.logs import configure
configure("debug")
logging.getLogger("backend.images").debug("ours")
logging.getLogger("botocore.auth").debug("CanonicalRequest: x-amz-security-token:word")
"""


def test_details_of_what_is_signed_are_never_shown() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", DEBUG], cwd=root, capture_output=True, text=True, check=True)
    assert "ours" in done.stderr and "word" not in done.stderr


def test_warnings_of_commands_hold_no_secret() -> None:
    calls = "m.mask_warnings(['sword']); logging.getLogger().warning('my sword')"
    script = f"import logging; import backend.logs as m; {calls}"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stderr == "my ***\n"


def test_what_a_request_brings_begins_no_line_and_steers_no_terminal() -> None:
    script = """
import logging
from backend.logs import configure
configure("info")
logging.getLogger("backend.web.app").warning("GET %s 404", "/x\\n2026-01-01 ERROR - all is lost\\r\\x1b[31m")
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    first, second = done.stderr.splitlines()
    assert first.endswith("WARNING - backend.web.app: GET /x")
    assert second == "    2026-01-01 ERROR - all is lost\\x0d\\x1b[31m 404"


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
