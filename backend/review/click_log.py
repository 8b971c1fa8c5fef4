"""Logs how annotations are made: one event for each answered prompt, in a Redis stream per project.

Events hold positions, times and measures of the mask, and no image content. They are measured and written behind
the annotator's back; without Redis they are lost, and nothing else is. A stream keeps the newest `MAX_EVENTS`
events (about 100 MB of Redis's memory) of the last `days` days.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from backend.label_studio.predict_request import Prompt
from backend.redis_store import CLICKS, OptionalRedis
from fine_tune.quality.footprint import Footprint
from fine_tune.quality.steps import RENAMED, Effect, measure, shrunk
from model.click import Click
from model.inference.clean import remove_small_regions

logger = logging.getLogger(__name__)

MAX_EVENTS = 100_000
PAGE = 2_000  # events read at once
FIELD = b"e"
TASK = re.compile(rb'"task":(\d+),')


@dataclass(frozen=True)
class Answered:
    """Holds what the service knows of one interactive prediction.

    Attributes:
        project, task: Label Studio's numbers; None where the caller gave none.
        annotator: e-mail of who clicked, "" where Label Studio did not tell.
        prompt: the request's clicks.
        earlier: region ids of the prompts that made the mask the clicks go on from.
        in_force: all clicks the mask has to obey, the newest last; those of the prompt are its end.
        before: gives the HxW uint8 map that the newest click was placed on, None for nothing; called later.
        after: HxW uint8 map that answered it; nobody may write to it any more.
        version: name of the model version.
        region: id of the region that was answered.
        latency: seconds it took to answer.
        proposed: whether the object began as a proposal, and not with a click.
    """

    project: int | None
    task: int | None
    annotator: str
    prompt: Prompt
    earlier: tuple[str, ...]
    in_force: tuple[Click, ...]
    before: Callable[[], np.ndarray | None]
    after: np.ndarray
    version: str
    region: str
    latency: float
    proposed: bool = False


@dataclass(frozen=True)
class ClickEvent:
    """Holds one entry of the stream.

    Attributes:
        time: of the request, seconds since 1970.
        task, annotator, version, region, latency, proposed: as in `Answered`.
        labels, to_name, item_index: which object, on which image.
        prompts: region ids of all that the mask builds on.
        ids: region ids of the request's clicks, in order.
        points: x, y in sqrt(image area) and polarity (1 or 0) of each of them.
        clicks: number of clicks in force.
        effect: what the newest click did.
        footprint: of the mask.
    """

    time: float
    task: int | None
    annotator: str
    version: str
    region: str
    latency: float
    labels: tuple[str, ...]
    to_name: str
    item_index: int | None
    prompts: tuple[str, ...]
    ids: tuple[str, ...]
    points: tuple[tuple[float, float, int], ...]
    clicks: int
    effect: Effect
    footprint: Footprint
    proposed: bool = False

    @staticmethod
    def of(answered: Answered, asked: float) -> ClickEvent:
        """Measure an answer, at a bounded resolution: what this takes, the next click may have to wait for."""
        values, clicks = shrunk(answered.after, answered.in_force)
        prompt, side = answered.prompt, float(np.sqrt(answered.after.size))
        return ClickEvent(
            time=round(asked, 3),
            task=answered.task,
            annotator=answered.annotator,
            version=answered.version,
            region=answered.region,
            latency=round(answered.latency, 4),
            labels=prompt.labels,
            to_name=prompt.to_name,
            item_index=prompt.item_index,
            prompts=(*answered.earlier, *prompt.ids),
            ids=prompt.click_ids,
            points=tuple(
                (round(c.x / side, 5), round(c.y / side, 5), int(c.positive)) for c in prompt.clicks
            ),
            clicks=len(answered.in_force),
            effect=_rounded(measure(answered.before(), values, clicks)),
            footprint=Footprint.of(remove_small_regions(values, clicks)),
            proposed=answered.proposed,
        )

    def to_json(self) -> str:
        """Return the stream's entry."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str | bytes) -> ClickEvent:
        """Read what `to_json` wrote, in this version or another: fields that are not known here are passed over.

        Raises:
            ValueError: it is no event, or one without a field that is needed.
        """
        try:
            entry: dict[str, Any] = json.loads(text)
            effect = {RENAMED.get(key, key): value for key, value in entry["effect"].items()}
            shape = {**entry["footprint"], "box": tuple(entry["footprint"]["box"])}
            return ClickEvent(
                **_known(
                    ClickEvent,
                    {
                        **entry,
                        **{key: tuple(entry[key]) for key in ("labels", "prompts", "ids")},
                        "points": tuple((x, y, positive) for x, y, positive in entry["points"]),
                        "effect": Effect(**_known(Effect, effect)),
                        "footprint": Footprint(**_known(Footprint, shape)),
                    },
                )
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an event of this version: {error}") from error


class ClickLog:
    """Writes and reads the streams.

    Args:
        store: the Redis, if there is one.
        days: after which an event is forgotten; 0 records nothing.
    """

    def __init__(self, store: OptionalRedis, days: int) -> None:
        self._store, self._days = store, days

    def record(self, answered: Answered) -> None:
        """Log an answer; return at once, and never fail."""
        if self._days and answered.project is not None:
            asked = time.time() - answered.latency
            self._store.write_behind(lambda client: self._write(client, answered, asked))

    def read(self, project: int, tasks: Container[int] | None = None) -> Iterator[ClickEvent]:
        """Yield the events of a project or of some of its tasks, the oldest first; unreadable ones are left out.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        client, start = self._store.client(), "-"
        while client is not None:
            page = client.xrange(_key(project), start, "+", PAGE)
            for _, values in page:
                entry = values.get(FIELD, b"{}")
                if tasks is not None and _task_of(entry) not in tasks:  # spares decoding all others
                    continue
                try:
                    yield ClickEvent.from_json(entry)
                except ValueError as error:
                    logger.debug("project %s: an event is left out: %s", project, error)
            if len(page) < PAGE:
                return
            start = b"(" + page[-1][0]

    def _write(self, client: Any, answered: Answered, asked: float) -> None:
        try:
            entry = ClickEvent.of(answered, asked).to_json()
        except Exception:  # a measure that fails must not end the thread that all of Redis's writers share
            logger.exception("task %s: a click is not logged", answered.task)
            return
        key, kept = _key(answered.project), self._days * 86_400
        pipe = client.pipeline(transaction=False)
        pipe.xadd(key, {FIELD: entry}, maxlen=MAX_EVENTS, approximate=True)
        pipe.xtrim(key, minid=f"{int((asked - kept) * 1000)}-0", approximate=True)
        pipe.expire(key, kept)
        pipe.execute()


def _task_of(entry: bytes) -> int | None:
    """Find the task that an entry names, without decoding it."""
    found = TASK.search(entry)
    return int(found[1]) if found else None


def _key(project: int | None) -> str:
    return f"{CLICKS}{project}"


def _known(kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Return those of the values that a dataclass has a field for."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _rounded(effect: Effect) -> Effect:
    """Five digits are more than any of them is exact to, and half the memory."""
    values: dict[str, Any] = {
        k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(effect).items()
    }
    return Effect(**values)
