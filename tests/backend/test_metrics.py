import os
import subprocess
import sys
from pathlib import Path

from backend.metrics import RECENT_REFUSALS, Metrics

TWO_WORKERS = """
import os, sys
from prometheus_client.metrics_core import GaugeMetricFamily
from backend.metrics import Metrics
metrics = Metrics()
metrics.note_learning([GaugeMetricFamily("clickmask_shared", "", value=3)])
child = os.fork()
metrics.refuse("image", 1, "gone")
metrics.running.set(2)
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
sys.stdout.write(metrics.exposition().decode())
"""


def test_what_is_counted_is_shown() -> None:
    metrics = Metrics()
    with metrics.stage("predict"):
        pass
    metrics.refuse("image", 7, "the image is gone")
    metrics.model.labels("base-1-aaaaaaaa", "cpu").set(1)
    text = metrics.exposition().decode()
    assert 'clickmask_stage_seconds_count{stage="predict"} 1.0' in text
    assert 'clickmask_refused_total{reason="image"} 1.0' in text
    assert 'clickmask_model_info{device="cpu",version="base-1-aaaaaaaa"} 1.0' in text


def test_the_newest_refusals_are_remembered() -> None:
    metrics = Metrics()
    for task in range(RECENT_REFUSALS + 5):
        metrics.refuse("image", task, "gone")
    recent = metrics.recent_refusals()
    assert len(recent) == RECENT_REFUSALS
    assert recent[0]["task"] == str(RECENT_REFUSALS + 4)
    assert set(recent[0]) == {"time", "reason", "task", "text"}


def test_a_refusal_shows_no_account() -> None:
    metrics = Metrics()
    metrics.refuse("image", 7, "http://user:secret@images.example/a.png: gone")
    assert metrics.recent_refusals()[0]["text"] == "http://***@images.example/a.png: gone"


def test_workers_are_added_up(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    root = Path(__file__).parents[2]
    text = subprocess.run(
        [sys.executable, "-c", TWO_WORKERS],
        env=environment,
        cwd=root,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert 'clickmask_refused_total{reason="image"} 2.0' in text
    assert "clickmask_shared 3.0" in text, "what all share is not added up"
