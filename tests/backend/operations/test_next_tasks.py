"""Which task to annotate next: tasks without annotations alone, written with a tab."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from backend.label_studio.client import LabelStudio
from backend.operations.next_tasks import _NUMBERS, COLUMN, TAB, NothingLeft, publish, rank
from model.versions.registry import Registry
from tests.backend.http_server import answers
from tests.backend.proposing_studio import CONFIG, DiscStudio
from tests.backend.running_app import picture, png
from tests.fine_tune.proposals.disc_proposer import add_proposing


@pytest.fixture
def studio() -> Iterator[DiscStudio]:
    made = DiscStudio(range(100, 104))
    made.web.routes["/data/upload/3/102.png"] = answers(200, png(picture(160, 160)))  # unlike all others
    made.tasks[103]["annotations"] = 1
    yield made
    made.close()


def test_an_image_unlike_the_learned_ones_comes_first(studio: DiscStudio, tmp_path: Path) -> None:
    add_proposing(Registry(tmp_path))
    looked: list[tuple[int, int]] = []
    ranked = rank(3, studio.settings(tmp_path), 500, lambda done, total: looked.append((done, total)))
    assert ranked[0].task == 102 and {entry.task for entry in ranked} == {100, 101, 102}
    assert looked == [(1, 3), (2, 3), (3, 3)]
    assert all(0 <= entry.doubt <= 1 for entry in ranked)
    assert studio.writes() == []


def test_tasks_are_asked_for_in_pages_without_their_predictions(studio: DiscStudio, tmp_path: Path) -> None:
    assert len(rank(3, studio.settings(tmp_path), 2)) == 2
    asked = [parse_qs(urlsplit(path).query) for _, path, _ in studio.web.requests if "/api/tasks?" in path]
    assert asked and all((q["page_size"], q["fields"]) == (["100"], ["task_only"]) for q in asked)


def test_a_project_without_a_model_is_spread(studio: DiscStudio, tmp_path: Path) -> None:
    del studio.web.routes["/data/upload/3/101.png"]
    ranked = rank(3, studio.settings(tmp_path), 500)
    assert {entry.task for entry in ranked} == {100, 102}
    assert {entry.doubt for entry in ranked} == {0.5}


def test_a_task_that_was_skipped_is_not_to_be_labelled_next(studio: DiscStudio, tmp_path: Path) -> None:
    studio.tasks[102]["skipped"] = 1
    assert {entry.task for entry in rank(3, studio.settings(tmp_path), 500)} == {100, 101}
    asked = {entry["filter"] for entry in _NUMBERS.tab()["filters"]["items"]}
    assert "filter:tasks:cancelled_annotations" in asked, "nor is it in the tab"


def test_a_task_whose_config_cannot_be_made_is_left_out(studio: DiscStudio, tmp_path: Path) -> None:
    config = f'<View><Repeater on="$pages">{"<Text/>" * 20}</Repeater>{CONFIG}</View>'
    studio.web.routes["/api/projects/3/"] = answers(200, json.dumps({"label_config": config}).encode())
    studio.tasks[100]["data"]["pages"] = [{}] * 1000
    assert {entry.task for entry in rank(3, studio.settings(tmp_path), 500)} == {101, 102}


def test_it_is_written_once_and_says_when_nothing_is_left(studio: DiscStudio, tmp_path: Path) -> None:
    settings = studio.settings(tmp_path)
    client, ranked = LabelStudio(settings), rank(3, settings, 500)
    assert publish(3, client, ranked) == 3
    assert publish(3, client, ranked) == 0
    assert [studio.tasks[entry.task]["data"][COLUMN] for entry in ranked] == [1, 2, 3]
    assert all("image" in task["data"] for task in studio.tasks.values())
    assert [view["data"]["title"] for view in studio.views] == [TAB]
    assert publish(3, client, ranked[1:2]) == 3
    numbers = {number: task["data"].get(COLUMN) for number, task in studio.tasks.items()}
    assert [numbers[entry.task] for entry in ranked] == [None, 1, None], "of one order alone"
    for task in studio.tasks.values():
        task["annotations"] = 1
    with pytest.raises(NothingLeft, match="no task without an annotation"):
        rank(3, settings, 500)
