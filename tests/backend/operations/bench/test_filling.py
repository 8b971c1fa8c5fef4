from backend.operations.bench.click_requests import PROJECT
from backend.operations.bench.filling import Filling, fill
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Scheduler
from tests.backend.redis_server import RedisServer


def test_redis_holds_what_was_asked_for(redis_server: RedisServer) -> None:
    client = redis_server.client()
    fill(client, Filling(redis_keys=500, jobs=20, ledger=300))
    assert client.dbsize() == 500
    assert len(Ledger(client).accepted(PROJECT, "submitted")) == 300
    jobs = Scheduler(client).jobs()
    assert len(jobs) == 20
    assert {job.get_status().value for job in jobs} == {"finished", "failed"}


def test_nothing_is_asked_for() -> None:
    assert not Filling(saved_masks=3).of_redis
    assert Filling(jobs=1).of_redis
