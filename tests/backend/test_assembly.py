"""What a whole process measures of itself."""

from __future__ import annotations

from pathlib import Path

from backend.jobs.configure import policy
from backend.settings import Settings
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome, remember
from fine_tune.project.scheduler import Scheduler
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, running, settings_for


def test_metrics_tell_of_training(tmp_path: Path, redis_server: RedisServer) -> None:
    client, images = redis_server.client(), ImageServer()
    Ledger(client).meet(3)
    Scheduler(client, policy(Settings())).request(3, "test")
    for status, at in (("promoted", 1000.0), ("kept back", 2000.0)):
        remember(client, 3, Outcome(status, "", at=at, seconds=at / 10))
    with running(settings_for(tmp_path, images, redis_url=redis_server.url)) as app:
        text = app.test_client().get("/metrics").text
    images.close()
    assert 'clickmask_training_jobs{state="queued"} 1.0' in text
    assert 'clickmask_training_jobs{state="failed"} 0.0' in text
    assert 'clickmask_training_seconds{project="3"} 200.0' in text
    assert 'clickmask_training_last_success_timestamp_seconds{project="3"} 1000.0' in text
