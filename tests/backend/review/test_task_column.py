"""Numbers in the data of tasks, and their tab, against what Label Studio's API answers."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

from backend.label_studio.client import LabelStudio
from backend.label_studio.task_states import TaskStates, state_of
from backend.review.task_column import TaskColumn
from backend.settings import Settings
from tests.backend.redis_server import RedisServer
from tests.backend.reviewed_studio import Studio

COLUMN = TaskColumn("worth", "By worth", ({"filter": "filter:tasks:id"},))


def client_of(studio: Studio) -> LabelStudio:
    return LabelStudio(Settings(label_studio_url=studio.web.url, label_studio_api_key="a" * 40))


def test_a_number_comes_changes_and_goes_and_other_data_stays(studio: Studio) -> None:
    client, data = client_of(studio), dict(studio.tasks[7]["data"])
    for number, changed in ((0.5, True), (0.5, False), (0.25, True)):
        assert COLUMN.write(client, 7, number) is changed
        assert studio.tasks[7]["data"] == {**data, "worth": number}
    assert [COLUMN.write(client, 7, None) for _ in range(2)] == [True, False]
    assert studio.tasks[7]["data"] == data
    assert studio.writes() == ["PATCH /api/tasks/7/"] * 3


def test_a_change_of_our_own_is_no_reason_to_compare(studio: Studio, redis_server: RedisServer) -> None:
    states, task = TaskStates(redis_server.client(), 3), studio.tasks[7]
    task["updated_at"] = "2026-01-01"
    states.keep({7: state_of(task)})

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "PATCH":
            task["updated_at"] = "2026-01-02"
        studio.task(handler)

    studio.web.routes["/api/tasks/7/"] = answer
    assert COLUMN.write(client_of(studio), 7, 1.0, states)
    assert states.known() == {7: state_of(task)}


def test_the_tab_is_made_once_and_shows_numbers_in_their_order(studio: Studio) -> None:
    for _ in range(2):
        COLUMN.show(client_of(studio), 3)
    (view,) = studio.views
    tab = view["data"]
    assert (tab["title"], tab["ordering"]) == ("By worth", ["tasks:data.worth"])
    assert tab["columnsDisplayType"] == {"tasks:data.worth": "Number"}
    assert [entry["filter"] for entry in tab["filters"]["items"]] == [
        "filter:tasks:data.worth",
        "filter:tasks:id",
    ]
