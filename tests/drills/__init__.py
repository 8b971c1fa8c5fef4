"""Faults of every kind, inflicted on purpose: `make drill`. The suite runs `test_fuzz.py` alone, with less input."""
