"""Annotations and drafts that a request carries of its task, read once and asked by everybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from backend.json_fields import Field, RequestError, elements
from backend.label_studio.label_config import KEYPOINT, PROMPTS, RECTANGLE, shape_of
from backend.label_studio.mask_regions import object_id
from backend.label_studio.prompt_regions import polarity
from backend.label_studio.region_meta import RegionMeta


@dataclass(frozen=True)
class Saved:
    """One annotation or draft.

    Attributes:
        number: Label Studio's id; 0 where it has none.
        user: e-mail of whom it belongs to; Label Studio tells it of drafts alone, "" for an annotation.
        author: id of who submitted it, as text; "" for a draft.
        updated: when it was saved last, ISO 8601; "" where nothing tells.
        cancelled: whether the annotator skipped the task.
        results: its results, those that are objects.
    """

    number: int = 0
    user: str = ""
    author: str = ""
    updated: str = ""
    cancelled: bool = False
    results: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def prompts(self) -> list[dict[str, Any]]:
        """Its keypoints and rectangles."""
        return [result for result in self.results if shape_of(str(result.get("type"))) in PROMPTS]

    @property
    def made_from(self) -> set[str]:
        """Region ids of the prompts that its masks were made from."""
        return {prompt for result in self.results for prompt in RegionMeta.read(result.get("meta")).prompts}

    @property
    def is_proposal(self) -> bool:
        """Whether this backend proposed its regions, before anybody clicked."""
        return any(RegionMeta.read(result.get("meta")).proposed for result in self.results)

    @staticmethod
    def read(entry: dict[str, Any]) -> Saved:
        """Read an annotation or a draft as Label Studio sends it; nothing in it is an error."""
        number = entry.get("id")
        return Saved(
            number=number if isinstance(number, int) else 0,
            user=str(entry.get("user") or ""),
            author=_author(entry.get("completed_by")),
            updated=str(entry.get("updated_at") or ""),
            cancelled=bool(entry.get("was_cancelled")),
            results=tuple(result for result in elements(entry.get("result")) if isinstance(result, dict)),
        )


@dataclass(frozen=True)
class SavedWork:
    """Everything that Label Studio holds for a task.

    Attributes:
        annotations: submitted, by anybody.
        drafts: of the annotator who asks; they hold what the editor shows.
        proposed: predictions that this backend made, with which an annotation may begin.
    """

    annotations: tuple[Saved, ...] = ()
    drafts: tuple[Saved, ...] = ()
    proposed: tuple[Saved, ...] = ()

    @staticmethod
    def read(
        annotations: Iterable[dict[str, Any]],
        drafts: Iterable[dict[str, Any]],
        predictions: Iterable[dict[str, Any]] = (),
    ) -> SavedWork:
        """Read a task's lists of annotations, drafts and predictions."""
        made = tuple(map(Saved.read, predictions))
        proposed = tuple(saved for saved in made if saved.is_proposal)
        return SavedWork(tuple(map(Saved.read, annotations)), tuple(map(Saved.read, drafts)), proposed)

    @property
    def annotator(self) -> str:
        """E-mail of who asks, "" where nothing tells: only drafts have it."""
        return next((draft.user for draft in reversed(self.drafts) if draft.user), "")

    @property
    def shown(self) -> list[Saved]:
        """What the annotator who asks can see, the most recent last.

        Submitted annotations count only where there is no draft: those that a draft changes are outdated, and others
        may be somebody else's. Skipped ones show nothing. Where there is neither, an annotation has begun with the
        newest proposals, which the editor does not send back before something changes.
        """

        def age(saved: Saved) -> tuple[str, int]:
            return saved.updated, saved.number

        submitted = [annotation for annotation in self.annotations if not annotation.cancelled]
        return sorted(self.drafts or submitted, key=age) or sorted(self.proposed, key=age)[-1:]

    def results_of(self, region: str) -> list[dict[str, Any]]:
        """Return the results of a region, as the annotator who asks saw it when it was saved; none for a new one."""
        for saved in reversed(self.shown):
            if found := [result for result in saved.results if str(result.get("id")) == region]:
                return found
        return []

    def replaceable(self, region: str) -> bool:
        """Tell whether the editor can replace an object, as the annotator who asks saw it when it was saved.

        It goes blank where a relation begins or ends there, and goes on drawing a magic wand's picture.

        Args:
            region: id of its first region.
        """
        results = [result for saved in self.shown for result in saved.results]
        held = {
            str(r.get(end)) for r in results if r.get("type") == "relation" for end in ("from_id", "to_id")
        }
        values = ((str(r.get("id")), r.get("value")) for r in results)
        held |= {number for number, value in values if isinstance(value, dict) and value.get("maskDataURL")}
        return region not in map(object_id, held)

    @property
    def drafted(self) -> str:
        """When a draft was saved last, ISO 8601; "" without any. Another text means that it was saved again."""
        return max((draft.updated for draft in self.drafts), default="")

    @cached_property
    def polarities(self) -> dict[str, bool]:
        """Polarity of every keypoint that has one, by its region id."""
        found = ((str(result.get("id")), _polarity(result)) for result in self._results())
        return {number: positive for number, positive in found if positive is not None}

    @cached_property
    def made_from(self) -> set[str]:
        """Region ids of the prompts that accepted masks were made from."""
        return {prompt for saved in (*self.annotations, *self.drafts) for prompt in saved.made_from}

    @cached_property
    def used_clicks(self) -> set[str]:
        """Region ids of keypoints that accepted masks were made from, and that were left behind beside them.

        A keypoint that is gone from where its mask was saved, but is sent, is back: accepting was undone.
        """
        return {
            prompt
            for saved in (*self.annotations, *self.drafts)
            for prompt in saved.made_from & {str(result.get("id")) for result in saved.prompts}
        }

    @property
    def pending_clicks(self) -> set[str]:
        """Region ids of the keypoints in the drafts: clicks whose answer was not accepted yet."""
        return self._pending(KEYPOINT)

    @property
    def pending_boxes(self) -> set[str]:
        """Region ids of the rectangles in the drafts that no accepted mask was made from."""
        return self._pending(RECTANGLE) - self.made_from

    def _pending(self, shape: str) -> set[str]:
        prompts = (result for draft in self.drafts for result in draft.prompts)
        return {str(result.get("id")) for result in prompts if shape_of(str(result.get("type"))) == shape}

    def _results(self) -> Iterator[dict[str, Any]]:
        # Drafts last: they are newer than the annotation they change.
        return (result for saved in (*self.annotations, *self.drafts) for result in saved.results)


def _polarity(result: dict[str, Any]) -> bool | None:
    """Return what a saved keypoint's flag tells; other tools may have written one that tells nothing."""
    try:
        return polarity(Field(result))
    except RequestError:
        return None


def _author(completed_by: Any) -> str:
    """Return the id in ``completed_by``, which is a number or an account."""
    number = completed_by.get("id") if isinstance(completed_by, dict) else completed_by
    return "" if number is None else str(number)
