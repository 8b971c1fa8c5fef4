"""A Label Studio of our own: its secrets, how it is started, and its last words. A stand-in answers for it here."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import psutil
import pytest
import requests

from backend.operations.label_studio_server import LabelStudioServer, LabelStudioStartError
from tests.live_processes import alive

STAND_IN = f"""#!{sys.executable}
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
options = dict(zip(sys.argv[2::1], sys.argv[3::1]))

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({{"argv": sys.argv[1:], "environment": dict(os.environ)}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", int(options["--port"])), Handler).serve_forever()
"""


def executable(folder: Path, text: str) -> Path:
    path = folder / "label-studio"
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_it_runs_while_the_context_lasts_as_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK", "of somebody else")
    program, switches = executable(tmp_path, STAND_IN), {"SENTRY_DSN": "here"}
    with LabelStudioServer(program, tmp_path / "data", switches=switches) as server:
        server.start()
        told = requests.get(server.url, timeout=60).json()
        assert server.process is not None
        family = [psutil.Process(server.process.pid)]
        command = " ".join(told["argv"])
        assert server.password not in command and server.token not in command, "everybody can read it"
        environment = told["environment"]
        names = ("USERNAME", "PASSWORD", "USER_TOKEN")
        account = [environment[f"LABEL_STUDIO_{name}"] for name in names]
        assert account == [server.email, server.password, server.token]
        assert environment["LABEL_STUDIO_HOST"] == server.url
        assert environment["COLLECT_ANALYTICS"] == "false"
        assert environment["SENTRY_DSN"] == "here", "a switch differs from what is usual"
        assert "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK" not in environment
    assert not alive(family)


def test_secrets_are_made_once_for_a_folder_and_are_private(tmp_path: Path) -> None:
    one, again = (LabelStudioServer(Path("x"), tmp_path / "a") for _ in range(2))
    other = LabelStudioServer(Path("x"), tmp_path / "b")
    assert (one.token, one.password) == (again.token, again.password)
    assert one.token != other.token
    assert stat.S_IMODE((tmp_path / "a" / "token").stat().st_mode) == 0o600
    assert one.first_start
    (tmp_path / "a" / "data").mkdir()
    (tmp_path / "a" / "data" / "label_studio.sqlite3").touch()
    assert not one.first_start


def test_a_secret_that_a_full_disk_left_empty_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    server = LabelStudioServer(Path("label-studio"), tmp_path)
    assert len(server.token) == 40
    assert LabelStudioServer(Path("label-studio"), tmp_path).token == server.token


def test_the_last_words_are_told_without_the_secrets(tmp_path: Path) -> None:
    program = executable(tmp_path, "#!/bin/sh\necho no database for $* $LABEL_STUDIO_USER_TOKEN\nexit 3\n")
    server = LabelStudioServer(program, tmp_path / "data")
    with pytest.raises(LabelStudioStartError, match="no database for start") as error:
        server.start()
    assert server.token not in str(error.value) and server.password not in str(error.value)
    assert f"{server.port} <token>" in str(error.value)
    assert server.process is None
