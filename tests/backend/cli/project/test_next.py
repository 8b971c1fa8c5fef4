"""`clickmask next` on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.cli import main
from backend.operations.next_tasks import COLUMN
from tests.backend.proposing_studio import DiscStudio


@pytest.fixture
def run(studio: DiscStudio, tmp_path: Path):
    environment = studio.variables(tmp_path)

    def ranked(*options: str) -> Result:
        return CliRunner().invoke(main, ["next", "3", *options], env=environment)

    return ranked


def test_it_reads_only(run, studio: DiscStudio) -> None:
    done = run("--json")
    assert done.exit_code == 0, done.output
    assert {entry["task"] for entry in json.loads(done.stdout)} == {100, 101}
    assert studio.writes() == []


def test_apply_writes(run, studio: DiscStudio) -> None:
    done = run("--apply", "--best", "1")
    assert done.exit_code == 0, done.output
    assert "2 tasks got a new label_next; see the tab 'To label next'" in done.stderr
    assert {task["data"][COLUMN] for task in studio.tasks.values()} == {1, 2}
