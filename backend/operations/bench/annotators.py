"""Measures how many annotators a server carries: real HTTP, pauses between clicks, masks that must be right.

Each annotator clicks an object, accepts it and goes on to the next picture. Some objects are clicked again
afterwards, at a backend that nobody else uses: the masks must be the same.
"""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import requests

from backend.label_studio.transport import ask
from backend.operations.bench.click_requests import CLICKS, Picture, Record, body, other
from backend.operations.bench.latency import LOAD_LIMIT_S
from backend.settings import Settings
from backend.web.app import create_app

TIMEOUT_S = 120.0
SAMPLES = 40  # objects that are clicked again
Account = tuple[str, str] | None


@dataclass
class Level:
    """What so many annotators at once came to.

    Attributes:
        annotators: how many.
        seconds: from the first click to the last answer.
        latencies: of the clicks that were answered, seconds.
        refusals: answers 503, which Label Studio shows as an error and the annotator repeats.
        errors: other answers than 200, and none at all.
        samples: some requests with the masks that were answered.
        checked, unequal: how many of these were compared with what one annotator alone gets, and how many differ.
        memory: MB of the server's processes, when a fifth of the clicks was made, by when caches are to be full, and
            at the end; None where they cannot be seen.
    """

    annotators: int
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refusals: int = 0
    errors: int = 0
    samples: list[tuple[Record, list[Any]]] = field(default_factory=list)
    checked: int = 0
    unequal: int = 0
    memory: tuple[float, float] | None = None

    def facts(self) -> dict[str, Any]:
        """Return plain values: latencies as p50, p95 and longest in seconds, throughput in clicks per second."""
        found: dict[str, Any] = {"annotators": self.annotators, "clicks": len(self.latencies)}
        if self.latencies:
            p50, p95 = np.percentile(self.latencies, (50, 95))
            found |= {"per_second": len(self.latencies) / self.seconds, "p50": p50, "p95": p95}
            found["longest"] = max(self.latencies)
        found |= {"refusals": self.refusals, "errors": self.errors}
        found |= {"checked": self.checked, "unequal": self.unequal}
        if self.memory is not None:
            found |= {"memory_mb": self.memory[1], "memory_growth": self.memory[1] / self.memory[0] - 1}
        return found


class Crowd:
    """Lets annotators click at a server.

    Args:
        url: of the backend.
        pictures: address in task data -> picture.
        account: user and password, where the backend asks for them.
        think_s: mean pause of an annotator between an answer and the next click.
    """

    def __init__(self, url: str, pictures: dict[str, Picture], account: Account, think_s: float) -> None:
        self._url, self._pictures, self._account, self._think_s = url, pictures, account, think_s

    def level(self, annotators: int, clicks: int, tell: Callable[[str], None]) -> Level:
        """Let so many annotators make so many clicks each, all at once."""
        result, lock, done = Level(annotators), threading.Lock(), 0
        fifth = annotators * clicks // 5
        early: list[float] = []

        def count() -> None:
            nonlocal done
            with lock:
                done += 1
                if done == fifth and (used := memory_mb(self._url)) is not None:
                    early.append(used)
            if done % 10 == 0:
                tell(f"{annotators} annotators: click {done} of {annotators * clicks}")

        objects = [
            _task(annotators, number, made)
            for number in range(annotators)
            for made in range(clicks // len(CLICKS))
        ]
        sampled = set(random.Random(0).sample(objects, min(len(objects), SAMPLES)))
        threads = [
            threading.Thread(target=self._annotate, args=(number, clicks, sampled, result, lock, count))
            for number in range(annotators)
        ]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        result.seconds = time.perf_counter() - begin
        late = memory_mb(self._url)
        result.memory = (early[0], late) if early and late is not None else None
        return result

    def _annotate(
        self,
        number: int,
        clicks: int,
        sampled: set[int],
        result: Level,
        lock: threading.Lock,
        count: Callable[[], None],
    ) -> None:
        chance, addresses = random.Random(number), list(self._pictures)
        time.sleep(chance.uniform(0, self._think_s))  # nobody begins together
        saved: list[Record] = []
        for click in range(clicks):
            made, of_object = divmod(click, len(CLICKS))
            address = addresses[(2 * number + made) % len(addresses)]
            task, who = _task(result.annotators, number, made), f"annotator{number}@example.com"
            content = body(self._pictures[address], address, of_object + 1, saved, task, who)
            begin = time.perf_counter()
            answer = self._post(content)
            took = time.perf_counter() - begin
            with lock:
                regions = _judge(answer, took, result)
                if task in sampled and regions:
                    result.samples.append((content, _masks(regions)))
            if of_object + 1 == len(CLICKS):
                saved = [other(region) for region in regions]
            count()
            if click + 1 < clicks:
                time.sleep(chance.uniform(0.5, 1.5) * self._think_s)

    def _post(self, content: Record) -> requests.Response | None:
        """Send a click as Label Studio does, over a connection of its own; None where nobody answers."""
        data = json.dumps(content).encode()
        headers = {"Content-Type": "application/json", "Connection": "close"}
        try:
            return ask(
                f"{self._url}/predict",
                "POST",
                data=data,
                headers=headers,
                auth=self._account,
                timeout=TIMEOUT_S,
            )
        except requests.RequestException:
            return None


def _task(annotators: int, annotator: int, made: int) -> int:
    """Give the objects of all annotators of all levels numbers: none is clicked twice, and answered from a cache."""
    return (annotators * 1_000 + annotator) * 10_000 + made + 1


def _judge(answer: requests.Response | None, took: float, result: Level) -> list[Record]:
    """Count an answer, and return its regions."""
    if answer is not None and answer.status_code == 503:
        result.refusals += 1
    elif answer is None or answer.status_code != 200:
        result.errors += 1
    else:
        result.latencies.append(took)
        return list(answer.json()["results"][0]["result"])
    return []


def check(level: Level, settings: Settings) -> None:
    """Click the sampled objects again at a backend in this process, and count the masks that differ.

    Args:
        settings: as those of the server that was measured.
    """
    alone = replace(
        settings, redis_url=None, basic_auth_user=None, basic_auth_pass=None, allow_anonymous=True
    )
    app = create_app(alone)
    backend = app.extensions["clickmask"]
    try:
        backend.models.take(None, LOAD_LIMIT_S)
        for content, masks in level.samples:
            answer = app.test_client().post("/predict", json=content)
            again = answer.json["results"][0]["result"] if answer.status_code == 200 and answer.json else []
            level.checked += 1
            level.unequal += _masks(again) != masks
    finally:
        backend.close()


def inline(picture: Picture) -> str:
    """Return a picture as an address that holds it, for a server that can fetch none from here."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}"


def memory_mb(url: str) -> float | None:
    """Return the resident memory of the processes that listen at an address; None where none is seen here."""
    port = urlsplit(url).port
    # Process by process: `psutil.net_connections` names but one of those that share a socket.
    found = [process for process in psutil.process_iter() if _listens(process, port)]
    try:
        return sum(process.memory_info().rss for process in found) / 2**20 if found else None
    except psutil.Error:
        return None


def _listens(process: psutil.Process, port: int | None) -> bool:
    try:
        open_here = process.net_connections("tcp")
    except psutil.Error:  # of another user, or gone
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in open_here)


def _masks(regions: Sequence[Record]) -> list[Any]:
    return [region["value"]["rle"] for region in regions]


def pictures(sizes: Sequence[tuple[int, int]], count: int) -> list[Picture]:
    """Draw so many pictures, of the sizes in turn."""
    return [Picture.make(*sizes[number % len(sizes)], seed=number) for number in range(count)]
