"""`clickmask health`: what a container's health check sees of a real worker, and of a web server at its port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result
from rq import Worker as RQWorker

from backend.cli import main
from backend.cli.running import health
from backend.jobs.worker import Worker
from backend.operations.embedded_redis import EmbeddedRedis
from backend.settings import Settings
from tests.backend.http_server import Web, answers
from tests.backend.redis_server import RedisServer


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Answers /ready, as the web server does."""
    server = Web()
    server.routes["/ready"] = answers(200, b'{"ready": true}')
    monkeypatch.setenv("CLICKMASK_PORT", str(server.port))
    monkeypatch.setenv("CLICKMASK_HOST", "0.0.0.0")
    monkeypatch.setenv("CLICKMASK_ALLOW_ANONYMOUS", "1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    yield server
    server.close()


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["health", *arguments])


def test_a_ready_web_server_is_well(web: Web) -> None:
    assert ask().exit_code == 0


@pytest.mark.parametrize("command", ["health", "up"])
def test_a_socket_file_is_for_serve_alone(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLICKMASK_HOME", str(tmp_path))
    monkeypatch.setenv("CLICKMASK_HOST", f"unix:{tmp_path}/web.sock")
    monkeypatch.setenv("CLICKMASK_URL", "https://clickmask.example")
    answer = CliRunner().invoke(main, [command])
    assert answer.exit_code == 1
    assert "`clickmask serve` can listen there, but this command asks the server at a port" in answer.output
    assert list(tmp_path.iterdir()) == []


def test_another_program_at_its_port_is_told(web: Web) -> None:
    web.routes["/ready"] = lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")
    answer = ask()
    assert (answer.exit_code, "does not answer: SSH-2.0-OpenSSH" in answer.output) == (1, True)


def test_one_that_is_not_ready_says_why(web: Web) -> None:
    reason = b'{"ready": false, "reason": "the default model cannot be installed"}'
    web.routes["/ready"] = answers(503, reason)
    answer = ask()
    assert answer.exit_code == 1
    assert "cannot be installed" in answer.output


def test_one_that_is_not_there_is_not_well(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKMASK_PORT", "9")
    answer = ask()
    assert answer.exit_code == 1
    assert "http://127.0.0.1:9 does not answer" in answer.output


def test_a_worker_is_well_while_it_reports(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLICKMASK_REDIS_URL", redis_server.url)
    # Another program's worker on this host, such as Label Studio's, in the same Redis.
    RQWorker(["default"], connection=redis_server.client()).register_birth()
    assert "no worker of" in ask("worker").output
    worker = Worker.of(Settings(redis_url=redis_server.url), redis_server.client())
    worker.register_birth()
    assert ask("worker").exit_code == 0
    monkeypatch.setattr(health, "SILENT_S", -1.0)
    assert "is silent for" in ask("worker").output
    worker.register_death()
    assert ask("worker").exit_code == 1


def test_the_worker_of_up_is_found_at_its_embedded_redis(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CLICKMASK_REDIS_URL", raising=False)
    monkeypatch.setenv("CLICKMASK_HOME", str(tmp_path))
    with EmbeddedRedis(tmp_path) as url:
        Worker.of(Settings(redis_url=url), redis.Redis.from_url(url)).register_birth()
        assert ask("worker").exit_code == 0


def test_without_redis_the_workers_check_says_so(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLICKMASK_REDIS_URL", redis_server.url + ".gone")
    answer = ask("worker")
    assert answer.exit_code == 1
    assert "does not answer" in answer.output


def test_what_a_worker_of_another_version_reports_is_told(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLICKMASK_REDIS_URL", redis_server.url)
    client = redis_server.client()
    client.sadd("rq:workers:clickmask", "rq:worker:other")
    client.hset("rq:worker:other", "birth", "at noon")
    answer = ask("worker")
    assert (answer.exit_code, "cannot be read" in answer.output) == (1, True)
