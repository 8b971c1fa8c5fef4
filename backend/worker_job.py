"""Run fine-tuning jobs that a version before 0.2 left in the queue: they name this module."""

from backend.jobs.fine_tune_job import run as run
