"""`clickmask review` against a real Redis and a loopback Label Studio."""

import json

import pytest
from click.testing import CliRunner

from backend.cli import main
from backend.operations.embedded_redis import EmbeddedRedis
from backend.redis_store import OptionalRedis
from backend.review.click_log import FIELD
from backend.review.project_review import COLUMN
from tests.backend.click_events import SIDE
from tests.backend.http_server import answers, answers_json
from tests.backend.reviewed_studio import Studio, doubtful, sure, tasks
from tests.backend.running_app import picture, png

CONFIG = '<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image"/></View>'


@pytest.fixture
def studio():
    studio = Studio(tasks())
    for task in studio.tasks.values():
        task["data"]["image"] = "/data/upload/3/a.png"
    studio.web.routes["/data/upload/3/a.png"] = answers(200, png(picture(SIDE, SIDE)))
    studio.web.routes["/api/projects/3/"] = answers_json(
        {"label_config": CONFIG, "total_annotations_number": 3}
    )
    yield studio
    studio.web.close()


@pytest.fixture
def run(studio, redis_server, tmp_path):
    store = OptionalRedis(redis_server.url)
    for event in [*sure([("a",), ("a", "b")]), *doubtful([("c",), ("c", "d")], task=8)]:
        store.client().xadd("clickmask:trace:3", {FIELD: event.to_json()})
    environment = {
        "CLICKMASK_HOME": str(tmp_path),
        "CLICKMASK_REDIS_URL": redis_server.url,
        "LABEL_STUDIO_URL": studio.web.url,
        "LABEL_STUDIO_API_KEY": "a" * 40,
    }

    def review(*options, **changes):
        return CliRunner().invoke(main, ["review", "3", *options], env={**environment, **changes})

    return review


def test_the_ranking_is_printed_with_reasons(run, studio):
    done = run()
    assert done.exit_code == 0, done.output
    assert "the mask contradicts one of the clicks" in " ".join(done.output.split())
    assert "2 objects rated, 1 made without recorded clicks, 0 clicked and not kept" in done.output
    assert studio.writes() == []


def test_json_is_for_scripts(run):
    rows = json.loads(run("--json").stdout)
    assert [row["task"] for row in rows] == [8, 7]
    assert 0 < rows[0]["iou"] < rows[1]["iou"] < 1


def test_apply_writes(run, studio):
    done = run("--apply")
    assert done.exit_code == 0, done.output
    assert "2 tasks got a new quality_iou" in done.stderr
    assert studio.tasks[8]["data"][COLUMN] < studio.tasks[7]["data"][COLUMN]


def test_the_sheet_is_drawn(run, tmp_path, studio):
    studio.tasks[7]["data"]["image"] = "/data/upload/3/gone.png"
    done = run("--sheet", str(tmp_path / "worst.png"))
    assert done.exit_code == 0, done.output
    assert "task 7 is not drawn" in done.stderr
    assert (tmp_path / "worst.png").stat().st_size > 5_000


def test_what_is_missing_is_named(run, studio):
    done = run("--calibrate")
    assert done.exit_code == 1
    assert "0 reviewed annotations are too few" in done.output
    done = run(CLICKMASK_REDIS_URL="")
    assert done.exit_code == 1
    assert "start `clickmask up`, or set CLICKMASK_REDIS_URL" in done.output


def test_the_redis_of_clickmask_up_is_found(run, tmp_path):
    with EmbeddedRedis(tmp_path):
        done = run(CLICKMASK_REDIS_URL="")
    assert done.exit_code == 0, done.output
    assert "0 objects rated" in done.output
