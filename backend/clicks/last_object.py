"""Remembers the object an annotator worked on last, so that a following click can continue it.

Label Studio tells of an accepted mask only some seconds later, with the next autosave of the draft. Until then
this memory is all there is.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from backend.clicks.map_cache import CacheKey
from backend.label_studio.predict_request import Prompt, Task
from backend.label_studio.prompt_regions import Box
from backend.redis_store import LAST_OBJECTS, OptionalRedis, SharedRecords
from model.click import Click


@dataclass(frozen=True)
class LastObject:
    """Describes an object as it was last answered.

    Attributes:
        region_id: id of the region in the answer.
        key, clicks: they name its map, see `backend.clicks.map_cache`.
        prompts: region ids of all clicks that made it, also those of an accepted mask it goes on from.
        together: how many clicks were in the request; more than one means that Auto-Accept is off.
        size: height and width of the image.
        at: when it was answered, in seconds since the epoch.
        drafted: when the annotator's draft had been saved last at that time, see `SavedWork.drafted`.
        named: whether its clicks came with a label.
        proposed: whether the object began as a proposal.
        box: the box that it began with, None for none.
        box_id: its region id, or "".
    """

    region_id: str
    key: CacheKey
    clicks: tuple[Click, ...]
    prompts: tuple[str, ...]
    together: int
    size: tuple[int, int]
    at: float
    drafted: str = ""
    named: bool = False
    proposed: bool = False
    box: Box | None = None
    box_id: str = ""

    def dump(self) -> str:
        """Return it as JSON; the field `key` is called ``chain`` there."""
        values = dataclasses.asdict(self)
        return json.dumps({"chain": values.pop("key"), **values})

    @staticmethod
    def parse(text: str | bytes) -> LastObject:
        """Undo `dump`, also of a version that adds fields; ValueError, KeyError, TypeError or
        AttributeError for anything else.
        """
        value: dict[str, Any] = json.loads(text)
        key = value["chain"]
        return LastObject(
            region_id=str(value["region_id"]),
            key=CacheKey(
                str(key["version"]),
                str(key["image"]),
                tuple(map(str, key["labels"])),
                str(key["start"]),
                _clicks(key["base"]),
                str(key.get("device", "")),
            ),
            clicks=_clicks(value["clicks"]),
            prompts=tuple(map(str, value["prompts"])),
            together=int(value["together"]),
            size=(int(value["size"][0]), int(value["size"][1])),
            at=float(value["at"]),
            drafted=str(value.get("drafted", "")),
            named=bool(value.get("named")),
            proposed=value.get("proposed") is True,
            box=Box(**{side: float(at) for side, at in value["box"].items()}) if value.get("box") else None,
            box_id=str(value.get("box_id", "")),
        )


class LastObjects:
    """Keeps the last object by task, annotator and label: in this process, and in Redis for the other ones."""

    def __init__(self, store: OptionalRedis, ttl_s: int) -> None:
        self._records = SharedRecords(store, LAST_OBJECTS, LastObject.parse, ttl_s)

    def recall(self, project: int | None, task: Task, prompt: Prompt) -> LastObject | None:
        """Return the object that the annotator who asks worked on last, with this label on this image.

        Before the first autosave Label Studio does not say who asks: then it is whoever else it did not name.
        """
        users = dict.fromkeys((task.saved.annotator, ""))
        return self._records.newest([_key(project, task, prompt, user) for user in users])

    def remember(self, project: int | None, task: Task, prompt: Prompt, last: LastObject) -> None:
        """Note what was answered to ``prompt``."""
        self._records.put(_key(project, task, prompt, task.saved.annotator), last, last.dump())


def _clicks(values: list[dict[str, Any]]) -> tuple[Click, ...]:
    return tuple(Click(float(v["x"]), float(v["y"]), bool(v["positive"])) for v in values)


def _key(project: int | None, task: Task, prompt: Prompt, user: str) -> str:
    return json.dumps([project, task.id, user, prompt.to_name, prompt.item_index, *prompt.labels])
