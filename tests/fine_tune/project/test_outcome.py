"""The last outcomes of a project stay in Redis."""

import json

from fine_tune.project import keys
from fine_tune.project.outcome import KEPT, Outcome, outcomes, remember
from tests.backend.redis_server import RedisServer


def test_the_newest_come_first_and_the_oldest_go(redis_server: RedisServer):
    client = redis_server.client()
    assert outcomes(client, 3) == []
    for number in range(KEPT + 2):
        remember(client, 3, Outcome("skipped", str(number), at=float(number)))
    remember(client, 4, Outcome("promoted", "better", "project-4-1-00000000", {"train_images": 3}))
    assert [outcome.reason for outcome in outcomes(client, 3)] == [str(n) for n in range(KEPT + 1, 1, -1)]
    assert outcomes(client, 4)[0].counts == {"train_images": 3}


def test_outcomes_of_older_versions_are_read(redis_server: RedisServer):
    client = redis_server.client()
    old = {"status": "refused", "reason": "why", "version": "", "counts": {}, "metrics": {}, "problems": []}
    client.lpush(keys.outcomes(3), json.dumps({**old, "at": 5.0}))
    (outcome,) = outcomes(client, 3)
    assert (outcome.status, outcome.at, outcome.seconds) == ("refused", 5.0, 0.0)


def test_outcomes_of_newer_versions_are_read_and_damage_is_left_out(redis_server: RedisServer):
    client = redis_server.client()
    remember(client, 3, Outcome("promoted", "better", "project-3-1-00000000"))
    client.lpush(keys.outcomes(3), "{", "[]", '{"status": "refused"}')
    for odd in ({"seconds": "5"}, {"at": None}, {"metrics": [1]}, {"problems": 3}):
        client.lpush(keys.outcomes(3), json.dumps({**Outcome("odd", "why").as_json(), **odd}))
    client.lpush(keys.outcomes(3), json.dumps({**Outcome("refused", "why").as_json(), "mood": "new"}))
    assert [outcome.status for outcome in outcomes(client, 3)] == ["refused", "promoted"]
