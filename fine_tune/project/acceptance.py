"""Which annotations count as accepted, and so may teach the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RULES = ("submitted", "ground-truth", "reviewed")


def facts(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Extract what the ledger keeps of an annotation of Label Studio's API, export or webhook; no mask is among it.

    Returns:
        task (id), updated_at (ISO 8601 text), completed_by (id), was_cancelled, lead_time (s), ground_truth,
        empty (no result at all; False where that is not known), reviewed (accepted by the last review of the
        enterprise edition).
    """
    results, count = annotation.get("result"), annotation.get("result_count")
    empty = not results if isinstance(results, list) else count == 0
    listed = annotation.get("reviews")
    reviews = [review for review in listed if isinstance(review, dict)] if isinstance(listed, list) else []
    completed_by = annotation.get("completed_by")
    return {
        "task": annotation.get("task"),
        "updated_at": str(annotation.get("updated_at") or ""),
        "completed_by": completed_by.get("id") if isinstance(completed_by, dict) else completed_by,
        "was_cancelled": bool(annotation.get("was_cancelled")),
        "lead_time": annotation.get("lead_time"),
        "ground_truth": bool(annotation.get("ground_truth")),
        "empty": empty,
        "reviewed": bool(reviews and reviews[-1].get("accepted")),
    }


def accepts(rule: str, kept: Mapping[str, Any]) -> bool:
    """Tell whether an annotation counts.

    Args:
        rule: one of `RULES`.
        kept: as `facts` returns it.

    Raises:
        ValueError: there is no such rule.
    """
    if rule not in RULES:
        raise ValueError(f"CLICKMASK_ACCEPT is {rule!r}: write one of {', '.join(RULES)}")
    if kept.get("was_cancelled") or kept.get("empty"):
        return False
    return {
        "submitted": True,
        "ground-truth": bool(kept.get("ground_truth")),
        "reviewed": bool(kept.get("reviewed")),
    }[rule]
