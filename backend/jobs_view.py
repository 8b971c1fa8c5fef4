"""Jobs as plain values, for the command line and the status page."""

from __future__ import annotations

from typing import Any

from rq.job import Job


def row(job: Job) -> dict[str, Any]:
    """What there is to know about a job: id, project, status, why, phase, share (0..1), step, loss, eta_s, created
    (ISO 8601) and result, one sentence."""
    status = str(job.get_status().value)
    meta = job.meta
    values = {key: meta.get(key) for key in ("project", "why", "phase", "share", "step", "loss", "eta_s")}
    created = job.created_at.isoformat(timespec="seconds") if job.created_at else ""
    return {"id": job.id, "status": status, "created": created, **values, "result": _result(job, status)}


def _result(job: Job, status: str) -> str:
    if status == "finished":
        outcome = job.return_value()
        return "waits for its turn" if outcome is None else f"{outcome['status']}: {outcome['reason']}"
    if status != "failed":
        return ""
    latest = job.latest_result()
    text = (latest.exc_string if latest is not None else "") or "the worker died"
    return text.strip().splitlines()[-1]
