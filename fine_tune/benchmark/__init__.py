"""Measure fine-tuning on public sets: what it gains, how long a job takes, and how often the gate errs."""
