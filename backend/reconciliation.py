"""Run comparisons with Label Studio that a version before 0.2 left in the queue: they name this module."""

from backend.jobs.reconcile_job import run as run
