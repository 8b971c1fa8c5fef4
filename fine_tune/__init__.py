"""Accepted annotations to training samples, trainer, promotion gate, jobs, quality from clicks."""
