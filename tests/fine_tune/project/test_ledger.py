import random
from collections.abc import Iterator

import pytest

from fine_tune.project import keys
from fine_tune.project.acceptance import RULES
from fine_tune.project.ledger import Ledger
from tests.backend import recordings
from tests.backend.redis_server import RedisServer


@pytest.fixture
def ledger(redis_server: RedisServer) -> Iterator[Ledger]:
    yield Ledger(redis_server.client())


def saved(number: int = 5, updated: str = "2026-01-01T10:00:00.000000Z", **fields: object) -> dict:
    annotation = {"id": number, "task": 9, "updated_at": updated, "result": [1, 2], **fields}
    return {"annotation": annotation, "project": {"id": 3, "token": "secret"}, "task": {"id": 9}}


def test_an_annotation_is_recorded_once(ledger: Ledger) -> None:
    assert ledger.record("ANNOTATION_CREATED", saved(lead_time=3.5)) == 1
    assert ledger.record("ANNOTATION_CREATED", saved(lead_time=3.5)) == 0
    assert ledger.annotations(3) == {
        5: {
            "task": 9,
            "updated_at": "2026-01-01T10:00:00.000000Z",
            "completed_by": None,
            "was_cancelled": False,
            "lead_time": 3.5,
            "ground_truth": False,
            "empty": False,
            "reviewed": False,
        }
    }


def test_the_newer_state_wins_whatever_the_order(ledger: Ledger) -> None:
    later = "2026-01-01T10:00:00.000001Z"
    assert ledger.record("ANNOTATION_UPDATED", saved(updated=later)) == 1
    assert ledger.record("ANNOTATION_CREATED", saved()) == 0
    assert ledger.annotations(3)[5]["updated_at"] == later


def test_a_deleted_annotation_stays_deleted(ledger: Ledger) -> None:
    ledger.record("ANNOTATION_CREATED", saved())
    assert ledger.record("ANNOTATIONS_DELETED", {"annotations": [{"id": 5}], "project": {"id": 3}}) == 1
    assert ledger.annotations(3) == {}
    assert ledger.record("ANNOTATION_UPDATED", saved(updated="2027-01-01T00:00:00Z")) == 0
    assert ledger.annotations(3) == {}


def test_projects_are_apart(ledger: Ledger) -> None:
    ledger.record("ANNOTATION_CREATED", saved())
    assert ledger.annotations(4) == {}


def test_annotations_made_from_predictions_come_together(ledger: Ledger) -> None:
    several = [saved(number)["annotation"] for number in (5, 6)]
    body = {"annotation": [*several, {"id": True}, 7], "project": {"id": 3}, "task": [{"id": 9}, {"id": 9}]}
    assert ledger.record("ANNOTATIONS_CREATED", body) == 2
    assert ledger.record("ANNOTATIONS_CREATED", body) == 0
    assert sorted(ledger.annotations(3)) == [5, 6]
    with pytest.raises(ValueError, match="annotation is no list"):
        ledger.record("ANNOTATIONS_CREATED", saved())


def test_annotations_go_with_their_tasks(ledger: Ledger) -> None:
    for number, task in ((5, 9), (6, 9), (7, 10)):
        ledger.record("ANNOTATION_CREATED", saved(number, task=task))
    body = {"tasks": [{"id": 9}, {"id": 11}], "project": {"id": 3}}
    assert ledger.record("TASKS_DELETED", body) == 2
    assert list(ledger.annotations(3)) == [7]
    assert ledger.record("ANNOTATION_UPDATED", saved(updated="2027-01-01T00:00:00Z")) == 0, "it is late"
    with pytest.raises(ValueError, match="tasks is missing"):
        ledger.record("TASKS_DELETED", {"project": {"id": 3}})


def test_a_project_goes_with_all_that_is_known_of_it(ledger: Ledger) -> None:
    ledger.record("ANNOTATION_CREATED", saved())
    ledger.mark_seen(3, {5: "x"})
    ledger.meet(4)
    assert ledger.record("PROJECT_DELETED", {"project": {"id": 3}}) == 1
    assert ledger.projects() == [4]
    assert ledger.annotations(3) == {}


def test_only_some_tasks_are_compared(ledger: Ledger) -> None:
    for number, task in ((5, 9), (6, 9), (7, 10)):
        ledger.record("ANNOTATION_CREATED", saved(number, task=task))
    listed = [saved(6, updated="2026-02", task=9)["annotation"], saved(8, task=11)["annotation"]]
    assert ledger.reconcile(3, lambda: listed, {9, 11}) == (2, 1)
    assert sorted(ledger.annotations(3)) == [6, 7, 8]
    back = saved(5, task=9)["annotation"]
    assert ledger.reconcile(3, lambda: [*listed, back], {9}) == (1, 0), "as after a backup was restored"
    assert sorted(ledger.annotations(3)) == [5, 6, 7, 8]


def test_other_actions_do_not_concern_it(ledger: Ledger) -> None:
    assert ledger.record("PROJECT_UPDATED", {"project": {"id": 3}}) == 0


def test_nothing_secret_is_kept(redis_server: RedisServer, ledger: Ledger) -> None:
    ledger.record("ANNOTATION_CREATED", saved())
    client = redis_server.client()
    kept = b"".join(client.dump(key) for key in client.keys("*"))
    assert b"updated_at" in kept
    assert b"secret" not in kept
    assert b"result" not in kept


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("ANNOTATION_CREATED", {"project": {"id": 3}}),
        ("ANNOTATION_CREATED", {"annotation": {"id": 5}}),
        ("ANNOTATION_CREATED", {"annotation": {"id": 5}, "project": {"id": True}}),
        ("ANNOTATIONS_DELETED", {"project": {"id": 3}}),
    ],
)
def test_a_body_without_the_numbers_is_refused(ledger: Ledger, action: str, body: dict) -> None:
    with pytest.raises(ValueError, match="is missing"):
        ledger.record(action, body)


@pytest.mark.parametrize("name", recordings.names("/webhook"))
def test_recorded_events(ledger: Ledger, name: str) -> None:
    body = recordings.body(name)
    concerns = body["action"] in (
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_DELETED",
    )
    assert ledger.record(body["action"], body) == int(concerns)


def listed(number: int, updated: str = "2026-01-01T10:00:00.000000Z", **fields: object) -> dict:
    return {"id": number, "task": 9, "updated_at": updated, "result": [1], **fields}


def test_reconciling_finds_what_the_webhooks_missed(ledger: Ledger) -> None:
    for number in (1, 2):
        ledger.record("ANNOTATION_CREATED", saved(number))
    newer = "2026-01-02T00:00:00.000000Z"
    found = ledger.reconcile(3, lambda: [listed(2, newer), listed(3)])
    assert found == (2, 1)
    assert ledger.accepted(3, "submitted") == {2: newer, 3: "2026-01-01T10:00:00.000000Z"}
    assert ledger.reconcile(3, lambda: [listed(2, newer), listed(3)]) == (0, 0)


def test_an_annotation_that_is_there_again_counts(ledger: Ledger) -> None:
    listed = [{"id": 5, "task": 1, "updated_at": "2026-01-01T00:00:05Z", "result_count": 1}]
    ledger.reconcile(3, lambda: listed)
    ledger.record("ANNOTATIONS_DELETED", {"project": {"id": 3}, "annotations": [{"id": 5}]})
    assert ledger.accepted(3, "submitted") == {}
    older = [{**listed[0], "updated_at": "2026-01-01T00:00:04Z"}]  # of a backup that was restored
    assert ledger.reconcile(3, lambda: older) == (1, 0)
    assert ledger.accepted(3, "submitted") == {5: "2026-01-01T00:00:04Z"}


def test_reconciling_keeps_what_comes_while_label_studio_answers(ledger: Ledger) -> None:
    def listing() -> list[dict]:
        ledger.record("ANNOTATION_CREATED", saved(7))
        return []

    assert ledger.reconcile(3, listing) == (0, 0)
    assert list(ledger.annotations(3)) == [7]


def test_a_label_studio_that_is_down_changes_nothing(ledger: Ledger) -> None:
    ledger.record("ANNOTATION_CREATED", saved(7))

    def listing() -> list[dict]:
        raise RuntimeError("down")

    with pytest.raises(RuntimeError, match="down"):
        ledger.reconcile(3, listing)
    assert list(ledger.annotations(3)) == [7]


def test_an_annotation_that_changed_is_new_again(ledger: Ledger) -> None:
    ledger.record("ANNOTATION_CREATED", saved(7))
    assert ledger.fresh(3, "submitted") == {7}
    ledger.mark_seen(3, ledger.accepted(3, "submitted"))
    assert ledger.fresh(3, "submitted") == set()
    ledger.record("ANNOTATION_UPDATED", saved(7, "2026-01-01T11:00:00.000000Z"))
    assert ledger.fresh(3, "submitted") == {7}


def test_a_review_counts_without_a_change_of_the_annotation(ledger: Ledger) -> None:
    ledger.record("ANNOTATION_CREATED", saved(7))
    assert ledger.accepted(3, "reviewed") == {}
    review = {**saved(7), "review": {"accepted": True}}
    assert ledger.record("REVIEW_CREATED", review) == 1
    assert ledger.accepted(3, "reviewed").keys() == {7}


def test_projects_are_listed(ledger: Ledger) -> None:
    ledger.record("ANNOTATION_CREATED", saved(7))
    assert ledger.projects() == [3]
    for number in (12, 3, 12):
        ledger.meet(number)
    assert ledger.projects() == [3, 12]


def counted_one_by_one(ledger: Ledger, redis_server: RedisServer, rule: str) -> set[int]:
    """What is fresh by definition: accepted, and not seen as it is."""
    seen = {int(n): text.decode() for n, text in redis_server.client().hgetall(keys.seen(3)).items()}
    return {n for n, updated in ledger.accepted(3, rule).items() if seen.get(n) != updated}


@pytest.mark.parametrize("seed", range(20))
def test_fresh_annotations_are_counted_as_they_come_and_go(
    ledger: Ledger, redis_server: RedisServer, seed: int
) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        number, updated = rng.randrange(6), f"2026-01-01T10:00:{rng.randrange(4):02}Z"
        fields = {"ground_truth": rng.random() < 0.3, "was_cancelled": rng.random() < 0.2}
        action = rng.choice(["created", "created", "reviewed", "deleted", "seen", "compared"])
        if action == "created":
            ledger.record("ANNOTATION_UPDATED", saved(number, updated, **fields))
        elif action == "reviewed":
            review = {"accepted": rng.random() < 0.5}
            ledger.record("REVIEW_CREATED", {**saved(number, updated), "review": review})
        elif action == "deleted":
            ledger.record("ANNOTATIONS_DELETED", {"annotations": [{"id": number}], "project": {"id": 3}})
        elif action == "seen":
            accepted = ledger.accepted(3, "submitted")
            ledger.mark_seen(3, {n: at for n, at in accepted.items() if rng.random() < 0.7})
        else:
            listed = [saved(n, updated, **fields)["annotation"] for n in range(6) if rng.random() < 0.6]
            ledger.reconcile(3, lambda listed=listed: listed)
        for rule in RULES:
            expected = counted_one_by_one(ledger, redis_server, rule)
            assert ledger.fresh(3, rule) == expected
            assert ledger.count_fresh(3, rule) == len(expected)


def test_what_an_older_version_kept_is_counted(ledger: Ledger, redis_server: RedisServer) -> None:
    for number in range(4):
        ledger.record("ANNOTATION_CREATED", saved(number))
    client = redis_server.client()
    client.delete(keys.indexed(3), *(keys.fresh(3, rule) for rule in RULES))
    client.hset(keys.seen(3), mapping={1: saved()["annotation"]["updated_at"], 2: "2025"})
    assert ledger.count_fresh(3, "submitted") == 3
    assert ledger.fresh(3, "submitted") == {0, 2, 3}


def test_an_event_costs_the_same_however_many_annotations_there_are(
    ledger: Ledger, redis_server: RedisServer
) -> None:
    client = redis_server.client()

    def commands(number: int) -> dict[str, int]:
        """Commands that Redis runs for one event, and what they touch."""
        client.config_resetstat()
        ledger.record("ANNOTATION_CREATED", saved(number))
        ledger.count_fresh(3, "submitted")
        stats = client.info("commandstats")
        return {name: entry["calls"] for name, entry in stats.items() if "config" not in name}

    commands(1)
    few = commands(2)
    ledger.reconcile(3, lambda: [saved(n)["annotation"] for n in range(2000)])
    assert commands(5000) == few
    assert not {"cmdstat_hgetall", "cmdstat_smembers", "cmdstat_hkeys"} & few.keys()


def test_a_project_that_is_forgotten_leaves_nothing(ledger: Ledger, redis_server: RedisServer) -> None:
    ledger.record("ANNOTATION_CREATED", saved())
    ledger.mark_seen(3, {})
    ledger.forget_project(3)
    assert redis_server.client().keys("*") == []


@pytest.mark.parametrize("damaged", ["", "{", "null", '"x"', "[]", "{}", '{"updated_at": 5}', b"\xff"])
def test_one_damaged_record_is_left_out_until_it_is_told_again(ledger: Ledger, damaged: str | bytes) -> None:
    for number in (5, 6):
        ledger.record("ANNOTATION_CREATED", saved(number))
    ledger._redis.hset(keys.records(3), 5, damaged)
    assert list(ledger.annotations(3)) == list(ledger.accepted(3, "submitted")) == [6]
    ledger.mark_seen(3, {5: "2026", 6: "2026"})
    assert ledger.record("TASKS_DELETED", {"tasks": [{"id": 1}], "project": {"id": 3}}) == 0
    assert ledger.reconcile(3, lambda: [saved(5)["annotation"], saved(6)["annotation"]]) == (1, 0)
    assert sorted(ledger.annotations(3)) == [5, 6]
    ledger._redis.hset(keys.records(3), 5, damaged)
    assert ledger.record("ANNOTATION_UPDATED", saved(5)) == 1
    assert sorted(ledger.annotations(3)) == [5, 6]
