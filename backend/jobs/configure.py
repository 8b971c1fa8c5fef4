"""When fine-tuning jobs begin, as the settings say."""

from backend.settings import Settings
from fine_tune.project.scheduler import Policy

TASK = "backend.jobs.fine_tune_job.run"  # by name: it is imported where it runs


def policy(settings: Settings) -> Policy:
    """What a `fine_tune.project.scheduler.Scheduler` goes by."""
    return Policy(
        settings.accept, settings.train_after, settings.train_pause_s, settings.train_timeout_s, TASK
    )
