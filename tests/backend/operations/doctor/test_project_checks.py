"""What the doctor finds in a project: labeling config, connection, webhook, images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from backend.label_studio.connect import SECRET_HEADER, connect, label_config
from backend.operations.doctor import FAIL, OK, WARN
from backend.operations.doctor.project_checks import project
from tests.backend.connected_studio import ConnectedStudio
from tests.backend.http_server import answers
from tests.backend.running_app import png

URL = "http://127.0.0.1:9090"
ALL_WELL = {"label config": OK, "connection": OK, "webhook": OK, "image": OK}


@pytest.fixture
def studio() -> Iterator[ConnectedStudio]:
    """A project, 1, that is connected to the backend and has a task with an image."""
    studio = ConnectedStudio()
    number = studio.add_project(label_config=label_config(("Cat",)))
    connect(studio.client(), number, URL, studio.settings())
    studio.tasks.append({"id": 5, "data": {"image": "/data/upload/1/a.png"}})
    studio.web.routes["/data/upload/1/a.png"] = answers(200, png(np.zeros((20, 30, 3), np.uint8)))
    yield studio
    studio.close()


def found(studio: ConnectedStudio, **changes: Any) -> dict[str, tuple[str, str]]:
    """Level and text of every finding that is not OK, by subject."""
    findings = list(project(studio.settings(**changes), studio.client(), 1, URL))
    return {finding.subject: (finding.level, finding.text) for finding in findings if finding.level != OK}


def test_all_is_well(studio: ConnectedStudio) -> None:
    findings = list(project(studio.settings(), studio.client(), 1, URL))
    assert {finding.subject: finding.level for finding in findings} == ALL_WELL
    assert findings[-1].text == "task 5 has one of 30 x 20 pixels"


def test_a_config_without_masks_is_a_failure_and_one_that_is_none_too(studio: ConnectedStudio) -> None:
    studio.projects[1]["label_config"] = '<View><Image name="image" value="$image"/></View>'
    assert found(studio)["label config"][0] == FAIL
    studio.projects[1]["label_config"] = "<View"
    level, text = found(studio)["label config"]
    assert (level, "XML" in text) == (FAIL, True)


def test_a_smart_tool_that_does_nothing_is_a_warning(studio: ConnectedStudio) -> None:
    """Such as Label Studio's own example for SAM has it: clicks are answered."""
    config = studio.projects[1]["label_config"]
    studio.projects[1]["label_config"] = config.replace(
        '<BrushLabels name="brush" toName="image" smart="false"', '<BrushLabels name="brush" toName="image"'
    )
    assert {level for level, _ in found(studio).values()} == {WARN}
    level, text = found(studio)["label config"]
    assert (level, 'add smart="false"' in text) == (WARN, True)


def test_prelabeling_is_a_warning(studio: ConnectedStudio) -> None:
    studio.projects[1]["show_collab_predictions"] = True
    assert found(studio) == {
        "prelabeling": (
            WARN,
            "on: every opening of a task waits for the backend; right where `clickmask connect --prelabel` shows "
            "proposals, else `clickmask connect` turns it off",
        )
    }


def test_no_connection_is_a_failure_with_the_command(studio: ConnectedStudio) -> None:
    studio.backends.clear()
    level, text = found(studio)["connection"]
    assert (level, "`clickmask connect 1`" in text) == (FAIL, True)
    assert "webhook" not in found(studio), "nothing is said about what has no ground"


def test_a_second_backend_that_gets_no_clicks_is_named(studio: ConnectedStudio) -> None:
    studio.backends[2] = {**studio.backends[1], "id": 2, "url": "http://other.example:9090/"}
    level, text = found(studio)["connection"]
    assert (level, text) == (WARN, f"clicks go to {URL} only; remove http://other.example:9090")


def test_a_backend_out_of_reach_is_told_with_label_studios_words(studio: ConnectedStudio) -> None:
    studio.backends[1] |= {"state": "ER", "error_message": "no route", "readable_state": "Error"}
    level, text = found(studio)["connection"]
    assert level == FAIL
    assert "no route" in text and "inside a container" in text
    studio.backends[1] |= {"url": "http://clickmask.internal:9090", "error_message": ""}
    text = found(studio)["connection"][1]
    assert "Error" in text and "inside a container" not in text


def test_a_webhook_that_is_off_or_without_the_secret_is_a_warning(studio: ConnectedStudio) -> None:
    level, text = found(studio, webhook_secret="hush")["webhook"]
    assert (level, "CLICKMASK_WEBHOOK_SECRET" in text, "hush" in text) == (WARN, True, False)
    studio.webhooks[1]["headers"] = {SECRET_HEADER: "hush"}
    assert found(studio, webhook_secret="hush") == {}
    studio.webhooks[1]["is_active"] = False
    assert "nothing is learnt" in found(studio)["webhook"][1]


def test_an_image_that_cannot_be_had_is_a_failure_and_no_task_a_warning(studio: ConnectedStudio) -> None:
    studio.web.routes["/data/upload/1/a.png"] = answers(404, b"")
    level, text = found(studio)["image"]
    assert (level, text.startswith("task 5: "), "no such file" in text) == (FAIL, True, True)
    studio.tasks.clear()
    assert found(studio)["image"] == (WARN, "the project has no tasks: import some")
