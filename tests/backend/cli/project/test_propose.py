"""`clickmask propose` on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.cli import main
from model.versions.registry import Registry
from tests.backend.proposing_studio import DiscStudio
from tests.backend.redis_server import RedisServer
from tests.fine_tune.proposals.disc_proposer import add_proposing


@pytest.fixture
def run(studio: DiscStudio, tmp_path: Path, redis_server: RedisServer):
    environment = studio.variables(tmp_path, CLICKMASK_REDIS_URL=redis_server.url)

    def propose(*options: str) -> Result:
        return CliRunner().invoke(main, ["propose", "3", *options], env=environment)

    return propose


def test_a_project_without_proposals_says_why(run) -> None:
    done = run()
    assert done.exit_code == 1 and "no model of its own yet" in done.output


def test_proposals_are_written_at_once(run, studio: DiscStudio, tmp_path: Path) -> None:
    version = add_proposing(Registry(tmp_path)).name
    done = run("--now", "--limit", "1", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["version"] == version and facts["written"] == 1 and facts["objects"] >= 4
    assert studio.versions(100) == [version] and studio.versions(101) == []


def test_a_job_is_queued(run, tmp_path: Path, redis_server: RedisServer) -> None:
    add_proposing(Registry(tmp_path))
    done = run()
    assert done.exit_code == 0, done.output
    assert "job propose-3 waits for a worker; no worker runs" in done.output
    assert redis_server.client().exists("rq:job:propose-3")
