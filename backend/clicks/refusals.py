"""Why a click gets no mask, and what to do about it: the words that metrics count, each with its fix."""

from __future__ import annotations

from backend.clicks.admission import DeadlineExceeded, Overloaded
from backend.clicks.pipeline import NothingToMark
from backend.images.address import ImageError
from backend.label_studio.label_config import LabelConfigError
from backend.serving.model_pool import NotReady
from model.errors import ClickmaskError

ERRORS: dict[type[ClickmaskError], str] = {
    ImageError: "image",
    LabelConfigError: "label_config",
    NothingToMark: "nothing_to_mark",
    DeadlineExceeded: "deadline",
    Overloaded: "overloaded",
    NotReady: "not_ready",
}

FIXES = {
    "request": "Send what the sentence asks for; if Label Studio itself sent it, please report it. Raise "
    "CLICKMASK_MAX_BODY_MB where a body is too large.",
    "image": "Run clickmask doctor PROJECT: it fetches an image as a click does, and names the setting to change.",
    "label_config": "Run clickmask doctor PROJECT: it names what the labeling config lacks; clickmask connect "
    "PROJECT --labels A,B sets one that works.",
    "nothing_to_mark": "Begin an object with a click without Alt.",
    "no_click": "Accept the suggestion with the tick at the bottom before Submit, Skip or another task, and choose a "
    "smart keypoint or rectangle to click with.",
    "empty_mask": "Click again, nearer to the middle of the object.",
    "deadline": "The machine is too slow or too busy: give it more cores or a GPU, or raise "
    "CLICKMASK_DEADLINE_S.",
    "overloaded": "More clicks came at once than the queue holds: raise CLICKMASK_SLOTS where cores are idle, or run "
    "another clickmask serve.",
    "not_ready": "Wait until the model is loaded; clickmask doctor says why one cannot be.",
    "proposals_late": "Run clickmask propose PROJECT: it proposes objects for all tasks in the background.",
    "error": "The log tells more under the task's number: please report it.",
}


def reason_of(error: ClickmaskError) -> str:
    """Return the word for an error that leaves a click without a mask."""
    return next((word for kind, word in ERRORS.items() if isinstance(error, kind)), "error")
