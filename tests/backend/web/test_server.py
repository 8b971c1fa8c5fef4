"""The real server: gunicorn with two workers, over sockets and signals."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from backend.settings import Settings
from backend.web.server import PlaceError, check_place, options, run
from tests.backend.predict_bodies import keypoint, predict
from tests.backend.running_app import ImageServer, settings_for
from tests.waiting import PATIENCE_S, until, until_ready

ROOT = Path(__file__).parents[3]
RUN = """
import sys
from backend.settings import Settings
from backend.web import server
server.SHARED_MEMORY = sys.argv[1]
server.run(Settings.from_env())
"""


@pytest.fixture(params=[2])
def server(
    images: ImageServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = settings_for(tmp_path, images, port=port, workers=request.param)
    environment = {**os.environ, **settings.to_env(), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        until_ready(url)
        yield url, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE_S)


@pytest.mark.parametrize(("server", "folders"), [(1, 0), (2, 1)], indirect=["server"])
def test_workers_count_together_and_leave_nothing_behind(
    server: tuple[str, subprocess.Popen[bytes]], folders: int, tmp_path: Path
) -> None:
    url, process = server
    assert len(list(tmp_path.glob("clickmask-metrics-*"))) == folders
    for number in range(20):
        assert requests.post(f"{url}/predict", json=predict(keypoint("k", number, 50)), timeout=30).ok
    metrics = requests.get(f"{url}/metrics", timeout=30).text
    count = re.search(r'clickmask_request_seconds_count\{route="/predict",status="200"\} (\S+)', metrics)
    assert count is not None
    assert float(count[1]) == 20
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    assert not list(tmp_path.glob("clickmask-metrics-*"))


def test_a_request_in_flight_is_answered_before_the_server_ends(
    server: tuple[str, subprocess.Popen[bytes]], images: ImageServer
) -> None:
    url, process = server
    images.gate.clear()
    body = predict(keypoint("k", 50, 50), data={"image": "/data/upload/1/in-flight.png"})
    answers: list[requests.Response] = []
    thread = threading.Thread(
        target=lambda: answers.append(requests.post(f"{url}/predict", json=body, timeout=60))
    )
    thread.start()
    until("the image's request", lambda: "/data/upload/1/in-flight.png" in images.asked)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)  # the signal must arrive before the image does
    images.gate.set()
    thread.join(60)
    assert answers[0].status_code == 200
    assert answers[0].json()["results"][0]["result"]
    assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(("memory", "place"), [("/nowhere", "temp"), ("shm", "shm")])
def test_several_workers_count_in_shared_memory_where_there_is_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str, place: str
) -> None:
    for folder in ("temp", "shm"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    monkeypatch.setattr("backend.web.server.SHARED_MEMORY", str(tmp_path / memory))
    monkeypatch.setattr("backend.web.server._Server.run", lambda self: None)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "of another program")
    settings = Settings(host=f"unix:{tmp_path}/clickmask.sock", workers=2)
    run(settings)
    assert Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).parent == tmp_path / place
    run(replace(settings, workers=1))
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_options_follow_the_settings() -> None:
    chosen = options(Settings(host="127.0.0.1", port=1234, workers=3, web_threads=5))
    assert (chosen["bind"], chosen["workers"], chosen["threads"]) == ("127.0.0.1:1234", 3, 5)
    assert chosen["worker_class"] == "gthread"
    assert "preload_app" not in chosen


@pytest.mark.parametrize(
    ("files", "connections"), [(1024, 512), (1 << 20, 1000), (resource.RLIM_INFINITY, 1000)]
)
def test_connections_leave_files_to_open(
    monkeypatch: pytest.MonkeyPatch, files: int, connections: int
) -> None:
    """Whoever opens more waits; where there were none left, gunicorn's worker ended over the next connection."""
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (files, files))
    assert options(Settings())["worker_connections"] == connections


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "localhost"])
def test_a_taken_port_is_named(host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.bind((host, 0))
        taken.listen()
        settings = Settings(host=host, port=taken.getsockname()[1], allow_anonymous=True)
        with pytest.raises(PlaceError, match="another program listens on .*CLICKMASK_PORT"):
            check_place(settings)
    check_place(settings)


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid", "unix:/nowhere/clickmask.sock"])
def test_a_place_that_is_none_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(PlaceError, match=f"CLICKMASK_HOST is '{host}'"):
        check_place(Settings(host=host, port=9090, allow_anonymous=True))


def test_a_socket_file_is_taken_over_only_from_a_server_that_is_gone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("s")
    settings = Settings(host=f"unix:{folder}/web.sock")
    check_place(settings)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{folder}/web.sock")
        other.listen()
        with pytest.raises(PlaceError, match=r"CLICKMASK_HOST is .*web\.sock.*another program listens there"):
            check_place(settings)
    check_place(settings)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(f"{folder}/log.sock")
        with pytest.raises(PlaceError, match="may be in use"):
            check_place(Settings(host=f"unix:{folder}/log.sock"))


def test_what_is_no_socket_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("nowhere")
    for place in (tmp_path, tmp_path / "file", tmp_path / "link"):
        with pytest.raises(PlaceError, match="CLICKMASK_HOST is .*is there and no socket"):
            check_place(Settings(host=f"unix:{place}"))
