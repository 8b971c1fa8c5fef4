"""A command that cannot do what it is asked for says so in a sentence: no traceback, no secret."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import traceback
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from backend.cli import COMMANDS, main
from backend.cli.errors import print_defect, sentence
from model.errors import ClickmaskError

INTERRUPTED = """
import builtins
def imported(name, *rest, real=builtins.__import__):
    if name == "backend.cli.errors":
        raise KeyboardInterrupt
    return real(name, *rest)
builtins.__import__ = imported
from backend.cli import main
main(["models", "list"])
"""
SECRETS = {
    "LABEL_STUDIO_API_KEY": "hidden-token",
    "BASIC_AUTH_USER": "user",
    "BASIC_AUTH_PASS": "hidden-pass",
    "CLICKMASK_WEBHOOK_SECRET": "hidden-hook",
    "CLICKMASK_REDIS_URL": "redis://:hidden-word@127.0.0.1:1/0",
    "LABEL_STUDIO_URL": "http://127.0.0.1:1",
}
# What each command needs on its line to get as far as its settings.
ARGUMENTS = {
    "connect": ["3"],
    "fine-tune": ["3"],
    "next": ["3"],
    "propose": ["3"],
    "review": ["3"],
    "jobs": ["list"],
    "models": ["list"],
    "evaluate": ["base", "--project", "3"],
    "bench": ["--size", "96x64", "--rounds", "1"],
}


def run(name: str, *arguments: str, **environment: str | None) -> Result:
    """Run a command in this process; None unsets a variable."""
    result = CliRunner().invoke(main, [name, *ARGUMENTS.get(name, []), *arguments], env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError("".join(traceback.format_exception(result.exception))) from result.exception
    return result


# Train and predict need files first.
SETTLED = [name for name in sorted(COMMANDS) if name not in ("train", "predict")]


@pytest.mark.parametrize("name", SETTLED)
def test_a_wrong_setting(name: str) -> None:
    result = run(name, CLICKMASK_PORT="many")
    assert result.exit_code == 1
    assert "CLICKMASK_PORT is 'many'" in result.output


@pytest.mark.parametrize("name", SETTLED)
def test_a_password_that_is_not_encoded(name: str) -> None:
    result = run(name, CLICKMASK_REDIS_URL="redis://:topsecret#1@host:6379/0")
    assert result.exit_code == 1
    assert "write # as %23" in result.output
    assert "topsecret" not in result.output


@pytest.mark.parametrize("name", SETTLED)
def test_certificates_that_are_not_there(name: str, tmp_path: Path) -> None:
    result = run(name, REQUESTS_CA_BUNDLE=str(tmp_path / "nope.pem"))
    assert result.exit_code == 1
    assert f"REQUESTS_CA_BUNDLE is '{tmp_path}/nope.pem': there is no such file" in result.output
    (tmp_path / "empty.pem").write_text("no certificate")
    assert "it holds no certificates" in run(name, CURL_CA_BUNDLE=str(tmp_path / "empty.pem")).output


@pytest.mark.parametrize("name", SETTLED)
def test_no_home_folder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 123_456_789)
    result = run(name, HOME=None, CLICKMASK_HOME=None)
    assert result.exit_code == 1
    assert "CLICKMASK_HOME is not set, and this user has no home folder" in result.output


@pytest.mark.parametrize("name", ["worker", "fine-tune", "jobs", "review", "connect", "doctor", "evaluate"])
def test_nobody_answers_and_no_secret_is_told(name: str, tmp_path: Path) -> None:
    result = run(name, CLICKMASK_HOME=str(tmp_path), **SECRETS)
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.output
    assert "hidden" not in result.output


@pytest.mark.parametrize("name", ["up", "doctor", "bench"])
def test_a_home_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(name, CLICKMASK_HOME=str(tmp_path / "file" / "home"), CLICKMASK_DEVICE="cpu")
    assert result.exit_code == 1
    assert str(tmp_path / "file") in result.output


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ClickmaskError("the model is gone: import it"), "the model is gone: import it"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/x"),
            "/data/x: No space left on device: free some",
        ),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x: Read-only file system: name a folder"),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            "set TMPDIR to one that can be written",
        ),
        (OSError("something of a library"), "something of a library"),
        (MemoryError(), "not enough memory"),
        (ClickmaskError("at https://me:hidden-word@host/x"), "at https://***@host/x"),
    ],
)
def test_what_is_said_of_an_error(error: Exception, said: str) -> None:
    assert said in sentence(error)


def test_a_defect_keeps_its_traceback_but_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "hidden-token")
    try:
        raise KeyError("hidden-token")
    except KeyError:
        kind, error, trace = sys.exc_info()
    assert kind is not None and error is not None
    print_defect(kind, error, trace)
    said = capsys.readouterr().err
    assert "Traceback" in said and "KeyError" in said
    assert "hidden-token" not in said


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("gone")
    def gone() -> None:
        raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(type(main), "get_command", lambda *_: gone)
    result = CliRunner().invoke(main, ["gone"])
    assert (result.exit_code, result.output) == (1, "")


def test_a_terminal_that_lacks_a_sign_gets_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("told")
    def told() -> None:
        print("Straße")

    monkeypatch.setattr(type(main), "get_command", lambda *_: told)
    result = CliRunner(charset="ascii").invoke(main, ["told"])
    assert (result.exit_code, result.stdout_bytes) == (0, b"Stra?e\n")


def test_help_that_cannot_be_written_is_a_sentence() -> None:
    command = [sys.executable, "-m", "backend.cli", "--help"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device: free some space there\n")


def test_ctrl_c_before_a_command_runs_is_no_defect():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "Aborted!\n")


@pytest.mark.parametrize(
    "line", ["review --worst -5", "next --best -3", "propose --limit 0", "train --steps -1"]
)
def test_a_number_that_makes_no_sense_is_refused_by_its_option(line: str):
    name, option, value = line.split()
    result = run(name, option, value)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}': {value} is not in the range" in result.output
