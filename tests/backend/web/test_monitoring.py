"""What a whole process measures of itself."""

from __future__ import annotations

from pathlib import Path

from backend.jobs.policy import policy
from backend.settings import Settings
from backend.web.learning import Learning, ProjectFigures
from backend.web.monitoring import measure
from fine_tune.project import keys
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome, remember
from fine_tune.project.scheduler import Scheduler
from tests.backend.predict_bodies import click, keypoint
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, backend_of, regions, running, settings_for
from tests.waiting import until

CONNECTING = ("cmdstat_hello", "cmdstat_client")  # more or fewer with every redis-py


def test_metrics_tell_of_training(tmp_path: Path, redis_server: RedisServer, images: ImageServer) -> None:
    client = redis_server.client()
    Ledger(client).meet(3)
    Scheduler(client, policy(Settings())).request(3, "test")
    for status, at in (("promoted", 1000.0), ("kept back", 2000.0)):
        remember(client, 3, Outcome(status, "", at=at, seconds=at / 10))
    with running(settings_for(tmp_path, images, redis_url=redis_server.url)) as app:
        text = app.test_client().get("/metrics").text
    assert 'clickmask_training_jobs{state="queued"} 1.0' in text
    assert 'clickmask_training_jobs{state="failed"} 0.0' in text
    assert 'clickmask_training_seconds{project="3"} 200.0' in text
    assert 'clickmask_training_last_success_timestamp_seconds{project="3"} 1000.0' in text


def test_a_project_that_was_deleted_is_measured_no_longer(tmp_path: Path, images: ImageServer) -> None:
    outcomes = (Outcome("promoted", "", at=2000.0, seconds=7.0), Outcome("promoted", "", at=1000.0))
    with running(settings_for(tmp_path, images)) as app:
        backend = backend_of(app)
        measure(backend, Learning((ProjectFigures(3, outcomes=outcomes), ProjectFigures(4))))
        text = backend.metrics.exposition().decode()
        assert 'clickmask_training_seconds{project="3"} 7.0' in text
        assert 'clickmask_training_last_success_timestamp_seconds{project="3"} 2000.0' in text
        measure(backend, Learning((ProjectFigures(4),)))
        assert 'project="3"' not in backend.metrics.exposition().decode()


def test_the_load_and_the_images_of_a_process_are_told_whichever_one_is_scraped(
    tmp_path: Path, images: ImageServer
) -> None:
    """Of several processes a scrape reaches one; the others must have told before."""
    with running(settings_for(tmp_path, images)) as app:
        assert regions(app.test_client(), click(keypoint("k", 30, 40)))
        metrics = backend_of(app).metrics
        until("the end of the click", lambda: b"clickmask_predictions_running 0.0" in metrics.exposition())
        metrics.running.set(5)  # as if it had been scraped with five running
        assert regions(app.test_client(), click(keypoint("k", 30, 40), keypoint("l", 40, 40)))
        until("the end of the click", lambda: b"clickmask_predictions_running 0.0" in metrics.exposition())
        assert b'clickmask_images{what="images"} 1.0' in metrics.exposition()


def test_a_click_costs_the_same_whatever_redis_holds(
    tmp_path: Path, redis_server: RedisServer, images: ImageServer
) -> None:
    """A click and Label Studio's other calls around it: which commands reach Redis is all that counts here."""
    client = redis_server.client()
    client.mset({f"clickmask:session:{number}": "x" for number in range(5000)})
    Ledger(client).meet(3)
    for _ in range(3):
        client.lpush(keys.outcomes(3), '{"a field": "of a later version"}')
    with running(settings_for(tmp_path, images, redis_url=redis_server.url)) as app:
        web, calls = app.test_client(), []
        for number in range(2):
            client.config_resetstat()
            assert web.get("/health").status_code == 200
            assert web.post("/setup", json={"project": "3.1"}).status_code == 200
            assert regions(web, click(keypoint(f"k{number}", 30, 40 + number)))
            backend_of(app).redis.flush()
            calls.append({name: stats["calls"] for name, stats in client.info("commandstats").items()})
    for seen in calls:
        assert sum(count for name, count in seen.items() if name not in CONNECTING) <= 20
        assert not [name for name in seen if name in ("cmdstat_scan", "cmdstat_keys", "cmdstat_hgetall")]
