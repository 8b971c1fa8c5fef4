"""The process of one RQ job: it knows its settings, gives way to clicks, and tells how far it is."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from rq import get_current_job
from rq.job import Job
from rq.timeouts import JobTimeoutException

from backend.jobs.status import PROGRESS
from backend.logs import configure
from backend.settings import Settings
from fine_tune.project.job import Cancelled

logger = logging.getLogger(__name__)

REPORT_S = 1.0
NICE = 10
AUTOGROUP = Path("/proc/self/autogroup")
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def begin() -> tuple[Settings, Job]:
    """Return the settings and the job that RQ runs in this process, and log as the settings say.

    Raises:
        SettingsError: the environment cannot be used.
    """
    settings, job = Settings.from_env(), get_current_job()
    configure(settings.log_level, settings.secrets())
    assert job is not None, "called by RQ"
    return settings, job


def let_clicks_go_first() -> None:
    """Give way to the server on the same machine, whose clicks are waited for; a training is not.

    Linux shares the cores out among sessions first, where it groups tasks by session: there a nice process takes
    nothing from its own session alone. A worker that leads a session, as `clickmask up` starts it, makes that nice.
    """
    os.nice(NICE)
    if os.getsid(0) == os.getppid():
        with suppress(OSError):
            AUTOGROUP.write_text(str(NICE))
    with suppress(AttributeError, OSError):  # other systems, and containers that forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


@contextmanager
def telling_why(job: Job) -> Iterator[None]:
    """Note in a job's meta why it failed: RQ keeps no reason for one that it tries again. Errors pass through."""
    try:
        yield
    except Exception as error:
        job.meta["problem"] = _problem(error, job)
        job.save_meta()
        raise


def _problem(error: Exception, job: Job) -> str:
    if isinstance(error, JobTimeoutException):
        return f"it took longer than CLICKMASK_TRAIN_TIMEOUT_S allows ({job.timeout} s)"
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        return (
            f"CLICKMASK_HOME cannot be written ({error.strerror}): make room on its disk, or make it writable; "
            "what is served stays"
        )
    return str(error) or type(error).__name__


class Reporter:
    """Puts progress into the job's meta, not too often, and ends the job when somebody asked for that.

    A Redis that does not answer does not end the training.
    """

    def __init__(self, job: Job, cancelled: Callable[[str], bool]) -> None:
        self._job, self._cancelled = job, cancelled
        self._phase, self._next = "", 0.0

    def __call__(self, phase: str, share: float, **facts: Any) -> None:
        """Note where the job stands.

        Args:
            share: of the phase that is done, 0..1.
            facts: eta_s and phases of the whole job, step, steps, loss; see `Timeline`.

        Raises:
            Cancelled: somebody asked for the job to end.
        """
        now = time.monotonic()
        if phase == self._phase and now < self._next:
            return
        self._phase, self._next = phase, now + REPORT_S
        nothing = dict.fromkeys((*PROGRESS, "problem"))
        self._job.meta.update({**nothing, **facts})
        self._job.meta.update(phase=phase, share=round(share, 3), at=time.time())
        try:
            self._job.save_meta()
            if self._cancelled(self._job.id):
                raise Cancelled(self._job.id)
        except redis.RedisError as error:
            logger.warning("progress is not shown: %s", error)
