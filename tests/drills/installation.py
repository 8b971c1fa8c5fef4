"""An installation for drills to break: Redis, `clickmask serve` and `worker`, and a Label Studio in miniature."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests
from rq.job import Job

from backend.operations.supervisor import free_port
from fine_tune.project.ledger import Ledger
from tests import commands
from tests.backend.annotated_project import CONFIG, PROJECT, annotated, export, task
from tests.backend.redis_server import RedisServer
from tests.backend.worker_home import PATIENCE_S, WorkerHome, kill
from tests.fine_tune.shape_scenes import shape_scene
from tests.waiting import until

COUNT = 8  # annotated images
UNTUNED = 4  # a project that the base model answers for, whose masks are never empty
DEADLINE_S = 10.0  # of a click, the default of CLICKMASK_DEADLINE_S
SLACK_S = 2.0  # of a busy machine, and of HTTP
TRAINING = {"CLICKMASK_TRAIN_STEPS": "8", "CLICKMASK_SYNC_S": "0", "CLICKMASK_LOG_LEVEL": "info"}


class Installation(WorkerHome):
    """What `clickmask up` runs, each process for itself, so that one can be killed alone.

    Args:
        folder: with a short path; home, logs and Redis's data are in it.
        environment: further settings.
    """

    def __init__(self, folder: Path, home: Path | None = None, **environment: str) -> None:
        redis = RedisServer(folder, "--appendonly", "yes")
        redis.start()
        web = annotated(COUNT)
        self.tasks = [
            task(number, shape_scene(np.random.default_rng(number)).truth) for number in range(1, COUNT + 1)
        ]
        export(web, self.tasks)
        self.folder, self.studio = folder, web
        home = home or folder / "home"
        home.mkdir(exist_ok=True)
        super().__init__(home, redis, web)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment |= {**TRAINING, "CLICKMASK_PORT": str(self.port), **environment}
        self.worker: subprocess.Popen[bytes] | None = None
        self.server_process: subprocess.Popen[bytes] | None = None
        self._clicks = 0

    def start(self) -> None:
        """Start what does not run, and wait until clicks are answered."""
        if self.server_process is None or self.server_process.poll() is not None:
            self.server_process = self.run("serve")
        if self.worker is None or self.worker.poll() is not None:
            self.worker = self.run("worker")
        self.wait("a ready server", lambda: self.asked("GET", "/ready") == 200)

    def run(self, command: str) -> subprocess.Popen[bytes]:
        """Start a command of clickmask; its output goes to FOLDER/COMMAND.log."""
        process = commands.start(self.environment, self.folder / f"{command}.log", command)
        self.workers.append(process)
        return process

    def restart(self, **environment: str) -> None:
        """End web server and worker, and start them with other settings."""
        self.environment |= environment
        for process in (self.server_process, self.worker):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(60)
        self.start()

    def asked(self, method: str, path: str, body: Any = None) -> int:
        """Send a request; returns the status of its answer, 0 where there was none."""
        try:
            return requests.request(method, self.url + path, json=body, timeout=60).status_code
        except requests.RequestException:
            return 0

    def click(self, image: int = 1) -> float:
        """Click an object as an annotator does; returns the seconds that the mask took. There must be one."""
        begin = time.monotonic()
        answer = self.predict(image)
        took = time.monotonic() - begin
        assert answer["result"], answer
        assert took < DEADLINE_S + SLACK_S
        return took

    def predict(self, image: int, project: int = UNTUNED) -> dict[str, Any]:
        """Send a click, see `body`; returns the prediction."""
        answer = requests.post(f"{self.url}/predict", json=self.body(image, project), timeout=60)
        assert answer.status_code == 200, answer.text
        prediction: dict[str, Any] = answer.json()["results"][0]
        return prediction

    def body(self, image: int, project: int = UNTUNED) -> dict[str, Any]:
        """A request with one click, other than all before."""
        self._clicks += 1
        (region,) = self.tasks[0]["annotations"][0]["result"][1:]
        x, y = 30 + self._clicks % 40, 30 + self._clicks // 40 % 40
        keypoint = {
            **region,
            "id": f"click{self._clicks}",
            "type": "keypointlabels",
            "from_name": "kp",
            "is_positive": True,
            "value": {"x": x, "y": y, "width": 0.3, "keypointlabels": ["Cat"]},
        }
        return {
            "tasks": [{"id": 1000 + self._clicks, "data": {"image": f"/data/upload/3/{image}.png"}}],
            "project": f"{project}.1",
            "label_config": CONFIG,
            "params": {"context": {"result": [keypoint]}},
        }

    def accept(self, number: int) -> int:
        """Have an annotator change annotation `number`, and Label Studio tell of it; returns the answer's status."""
        annotation = self.tasks[number - 1]["annotations"][0]
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        annotation["updated_at"] = f"{moment}.{time.time_ns() // 1000 % 1_000_000:06}Z"
        event = {**annotation, "task": number, "result_count": len(annotation["result"])}
        body = {"action": "ANNOTATION_UPDATED", "annotation": event, "project": {"id": PROJECT}}
        return self.asked("POST", "/webhook", body)

    def counted(self) -> bool:
        """Whether the ledger holds every annotation as it is in Label Studio now."""
        told = {a["id"]: a["updated_at"] for each in self.tasks for a in each["annotations"]}
        known = Ledger(self.server.client()).annotations(PROJECT)
        return {number: record["updated_at"] for number, record in known.items()} == told

    def learned(self) -> bool:
        """Whether a job has learned from all that is counted."""
        return self.counted() and not Ledger(self.server.client()).fresh(PROJECT, "submitted")

    def learns(self) -> None:
        """Run a job, which must learn from all that is counted."""
        self.ended(self.request())
        assert self.learned()

    def fails(self) -> str:
        """Run a job that cannot end well; returns why it waits to be tried again."""
        job = self.request()
        self.tried_again(job)
        return str(self.meta(job)["problem"])

    def ended(self, job: Job) -> None:
        """Wait until a job is over; it must not have failed, and a version was made or nothing was new."""
        self.wait("a Redis", self.server.answers)
        done = self.end_of(job)
        latest = done.latest_result()
        assert done.get_status() == "finished", latest.exc_string if latest else self.said()[-3000:]
        result = done.return_value()
        assert result is not None and result["status"] in ("promoted", "skipped"), result

    def request(self) -> Job:
        """Ask for a job."""
        return self.scheduler.request(PROJECT, "drill", force=True)

    def reach(self, phase: str) -> Job:
        """Start a job and return as soon as it is in a phase, which may be short: it is tried several times."""
        for _ in range(5):
            job = self.request()

            def there(job: Job = job) -> str:
                found = self.scheduler.job(job.id)
                assert found is not None
                over = found.get_status() in ("finished", "failed")
                return "over" if over else "there" if found.meta.get("phase") == phase else ""

            if self.wait(f"the phase {phase}", there, pause_s=0.005) == "there":
                return job
        raise AssertionError(f"the phase {phase} was never met")

    def wait(self, what: str, condition: Callable[[], Any], pause_s: float = 0.1) -> Any:
        """Wait until the condition is true, and return its value."""
        return until(what, condition, PATIENCE_S, pause_s, logs=lambda: self.said()[-6000:])

    def said(self, logs: str = "*.log") -> str:
        """The logs of all processes, or of some."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob(logs)))

    def assert_quiet(self, logs: str = "*.log") -> None:
        """Nothing that happened was worth a traceback or an internal error."""
        said = self.said(logs)
        assert "Traceback" not in said, said[said.index("Traceback") - 2000 :][:6000]
        assert " 500 " not in said

    def close(self) -> None:
        """End everything."""
        for process in self.workers:
            if process.poll() is None:
                kill(process)
        self.studio.close()
        self.server.stop()


@contextmanager
def installed(**environment: str) -> Iterator[Installation]:
    """Run an installation in a folder of its own while the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="cm"))  # short, for the sake of Unix sockets
    found = Installation(folder, **environment)
    try:
        found.start()
        yield found
    finally:
        found.close()
        shutil.rmtree(folder, ignore_errors=True)


def children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The direct children of a process."""
    return psutil.Process(process.pid).children()
