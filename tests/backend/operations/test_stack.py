"""The processes of an installation; `clickmask up` in tests/backend/cli/running/test_up.py runs them all."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from backend.operations.stack import StackError, running, status, wait_until_ready
from backend.settings import Settings
from backend.web.server import PlaceError
from tests.backend.http_server import Web, answers, send


def ready(**said: object) -> bytes:
    return json.dumps({"ready": False, "problems": [], "reason": "", **said}).encode()


def test_a_taken_port_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(home=tmp_path, host="127.0.0.1", port=taken.getsockname()[1])
        with (
            pytest.raises(PlaceError, match=f"listens on {settings.bind}.*CLICKMASK_PORT"),
            running(settings),
        ):
            raise AssertionError("not reached")
    assert list(tmp_path.iterdir()) == []


def test_the_status_of_what_does_not_answer_is_none(web: Web) -> None:
    assert status("http://127.0.0.1:1") is None
    assert status(web.url) is None, "another server"
    web.routes["/ready"] = answers(503, ready(reason="loading"))
    assert status(web.url) == json.loads(ready(reason="loading"))


def test_this_machine_is_asked_directly_at_any_of_its_addresses(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.routes["/ready"] = answers(200, ready(ready=True))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    found = socket.getaddrinfo("127.0.0.1", web.port, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    assert status(f"http://thismachine.example:{web.port}") is not None


def test_waiting_ends_with_the_model(web: Web) -> None:
    asked: list[float] = []

    def loading(handler: object) -> None:
        send(handler, 200, ready(ready=len(asked) > 1))  # type: ignore[arg-type]

    web.routes["/ready"] = loading
    assert wait_until_ready(lambda: None, web.url, asked.append)["ready"] is True
    assert len(asked) == 2


def test_waiting_in_vain_is_told(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise StackError("the web server ended")

    with pytest.raises(StackError, match="the web server ended"):
        wait_until_ready(gone, web.url, lambda seconds: None)
    with pytest.raises(StackError, match="was not ready within 300 s"):
        wait_until_ready(lambda: None, "http://127.0.0.1:1", lambda seconds: None)
    web.routes["/ready"] = answers(503, ready(problems=["x"], reason="the weights are damaged"))
    with pytest.raises(StackError, match="cannot be served: the weights are damaged"):
        wait_until_ready(lambda: None, web.url, lambda seconds: None)
