"""`clickmask worker`: runs the jobs that wait in Redis, one at a time, each in a fresh process."""

from __future__ import annotations

import os

import click

# For the processes of jobs, whose glibc reads it as they start: freed memory is kept, and a step of training on a CPU
# takes two thirds of the time (docs/trials/training.md).
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}


@click.command("worker")
@click.option("--burst", is_flag=True, help="End when no job is waiting.")
def command(burst: bool) -> None:
    """Run jobs of fine-tuning and proposing; start as many workers as there are GPUs.

    SIGTERM puts the job that runs back into the queue and ends the worker within seconds.
    Ctrl-C ends it after the job.
    """
    from backend.jobs.worker import work
    from backend.logs import configure
    from backend.operations.redis_client import connected, redis_url
    from backend.settings import Settings

    settings = Settings.from_env()
    with connected(settings):  # a worker that cannot reach Redis at its start says so and ends
        pass
    for name, value in KEEP_MEMORY.items():
        os.environ.setdefault(name, value)
    configure(settings.log_level, settings.secrets())
    work(settings, redis_url(settings), burst)
