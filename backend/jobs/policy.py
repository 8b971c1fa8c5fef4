"""Turns the settings into what fine-tuning jobs go by."""

from backend.settings import Settings
from fine_tune.project.scheduler import Policy

TASK = "backend.jobs.fine_tune_job.run"  # by name: it is imported where it runs


def policy(settings: Settings) -> Policy:
    """Return when jobs begin, and which function runs them."""
    return Policy(
        settings.accept, settings.train_after, settings.train_pause_s, settings.train_timeout_s, TASK
    )
