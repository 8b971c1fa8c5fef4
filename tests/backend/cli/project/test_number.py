"""Commands that take a project's number, and a Label Studio that has no such project."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.cli import main
from backend.cli.project.number import refuse_unknown
from backend.label_studio.client import LabelStudioError
from backend.settings import Settings
from fine_tune.project.scheduler import Scheduler
from tests.backend.http_server import Web, answers, answers_json
from tests.backend.redis_server import RedisServer

COMMANDS = (
    "connect 999",
    "connect 999 --prelabel",
    "evaluate --project 999",
    "fine-tune 999",
    "fine-tune 999 --now",
    "fine-tune 999 --sync",
    "next 999",
    "propose 999",
    "propose 999 --now",
    "review 999",
)


@pytest.fixture
def environment(web: Web, redis_server: RedisServer, tmp_path: Path) -> dict[str, str]:
    return {
        "CLICKMASK_HOME": str(tmp_path),
        "CLICKMASK_REDIS_URL": redis_server.url,
        "LABEL_STUDIO_URL": web.url,
        "LABEL_STUDIO_API_KEY": "a" * 40,
    }


def run(command: str, environment: dict[str, str]) -> Result:
    return CliRunner().invoke(main, command.split(), env=environment)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_project_that_there_is_not_is_named_at_once(
    command: str, environment: dict[str, str], redis_server: RedisServer
) -> None:
    done = run(command, environment)
    assert done.exit_code == 1, done.output
    assert "Label Studio has no " in done.output and "LABEL_STUDIO_URL right?" in done.output
    assert Scheduler(redis_server.client()).jobs() == []


def test_a_label_studio_that_cannot_be_asked_from_here_keeps_no_job_from_being_queued(
    environment: dict[str, str], web: Web, redis_server: RedisServer
) -> None:
    web.otherwise = answers(502, b"")
    assert run("fine-tune 3", environment).exit_code == 0
    (job,) = Scheduler(redis_server.client()).jobs()
    assert run("fine-tune 3 --json", {**environment, "LABEL_STUDIO_URL": ""}).exit_code == 0
    assert [known.id for known in Scheduler(redis_server.client()).jobs()] == [job.id]


def test_what_is_refused(web: Web) -> None:
    settings = Settings(label_studio_url=web.url, label_studio_api_key="a" * 40)
    with pytest.raises(LabelStudioError):
        refuse_unknown(3, settings)
    web.routes["/api/projects/3/"] = answers_json({"id": 3})
    refuse_unknown(3, settings)
