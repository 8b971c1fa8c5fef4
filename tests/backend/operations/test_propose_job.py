"""Proposals for a whole project: what is written, what is replaced, what is left alone, and going on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from backend.jobs.status import row
from backend.operations import propose_job
from backend.operations.propose_job import NoProposals, enqueue, propose, served
from fine_tune.project.scheduler import QUEUE, Scheduler
from model.versions.registry import Registry
from tests.backend.proposing_studio import DiscStudio
from tests.backend.redis_server import RedisServer
from tests.fine_tune.proposals.disc_proposer import add_proposing


def ignored(phase: str, share: float, **facts: Any) -> None:
    assert 0 <= share <= 1


@pytest.fixture
def studio() -> Iterator[DiscStudio]:
    made = DiscStudio(range(100, 104))
    yield made
    made.close()


def test_open_tasks_get_proposals_and_others_are_left_alone(studio: DiscStudio, tmp_path: Path) -> None:
    version, settings = add_proposing(Registry(tmp_path)).name, studio.settings(tmp_path)
    studio.tasks[101]["annotations"] = 1
    studio.predict(101, "base-1-00000000")
    for known in ("project-3-1-00000000", "somebody else"):
        studio.predict(102, known)
    done = propose(3, settings, ignored)
    assert (done.written, done.empty, done.failed) == (3, 0, 0) and done.objects >= 12
    assert studio.versions(100) == studio.versions(103) == [version]
    assert studio.versions(101) == ["base-1-00000000"]
    assert sorted(studio.versions(102)) == sorted(["somebody else", version])
    (prediction,) = studio.tasks[100]["predictions"]
    regions = [region for region in prediction["result"] if region["type"] == "brushlabels"]
    assert all(region["value"]["brushlabels"] == ["Disc"] for region in regions)
    assert all(region["meta"]["proposed"] and region["meta"]["clicks"] == 0 for region in regions)
    assert 0 < prediction["score"] < 1

    before = len(studio.writes())
    assert propose(3, settings, ignored).written == 0
    assert len(studio.writes()) == before  # nothing is left to do


def test_an_image_that_is_gone_costs_only_its_own_task(studio: DiscStudio, tmp_path: Path) -> None:
    add_proposing(Registry(tmp_path))
    del studio.web.routes["/data/upload/3/100.png"]
    done = propose(3, studio.settings(tmp_path), ignored, limit=2)
    assert (done.written, done.failed) == (1, 1)
    assert "1 images could not be read" in done.sentence
    assert not studio.versions(102)


def test_why_nothing_is_proposed(studio: DiscStudio, tmp_path: Path) -> None:
    settings, registry = studio.settings(tmp_path), Registry(tmp_path)
    with pytest.raises(NoProposals, match="no model of its own yet"):
        served(3, settings)
    add_proposing(registry, offered=False, reason="they cost more than they save")
    with pytest.raises(NoProposals, match="they cost more than they save"):
        served(3, settings)
    add_proposing(registry)
    with pytest.raises(NoProposals, match="CLICKMASK_PROPOSALS is 0"):
        served(3, studio.settings(tmp_path, proposals=0))
    add_proposing(registry, labels=["A", "B"])
    with pytest.raises(NoProposals, match="cannot be loaded"):
        served(3, settings)


def test_a_worker_does_it_once(
    studio: DiscStudio, tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_proposing(Registry(tmp_path))
    for name, value in studio.variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    gave_way: list[bool] = []  # the worker of this test is the test's own process, which must not become nice
    monkeypatch.setattr(propose_job, "let_clicks_go_first", lambda: gave_way.append(True))
    client = redis_server.client()
    job = enqueue(client, 3, 1, studio.settings(tmp_path))
    assert enqueue(client, 3, None, studio.settings(tmp_path)).id == job.id
    assert [known.id for known in Scheduler(client).jobs()] == [job.id]
    SimpleWorker([QUEUE], connection=client, serializer=JSONSerializer).work(burst=True)
    assert gave_way
    job.refresh()
    values = row(job)
    assert values["status"] == "finished" and "objects proposed on 1 tasks" in values["result"]
    assert values["phase"] == "proposing" and values["share"] == 1
