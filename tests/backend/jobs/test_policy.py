"""What fine-tuning jobs go by, from the settings."""

import importlib

from backend.jobs import fine_tune_job
from backend.jobs.policy import TASK, policy
from backend.settings import Settings


def test_jobs_begin_as_the_settings_say():
    made = policy(Settings(accept="reviewed", train_after=7, train_pause_s=11, train_timeout_s=13))
    assert (made.accept, made.new, made.pause_s, made.timeout_s) == ("reviewed", 7, 11, 13)


def test_the_name_of_the_task_is_a_function():
    module, _, name = TASK.rpartition(".")
    assert getattr(importlib.import_module(module), name) is fine_tune_job.run
    assert policy(Settings()).task == TASK
