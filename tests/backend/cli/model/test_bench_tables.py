"""The reports of `clickmask bench` as people read them."""

from __future__ import annotations

import pytest

from backend.cli.model.bench_tables import STAGES, annotators, latency, network

TIMES = {"p50": 0.0123, "p95": 0.0456}


def test_latency_shows_every_stage_of_both_clicks(capsys: pytest.CaptureFixture[str]) -> None:
    clicks = {"first": dict.fromkeys(STAGES, TIMES), "later": {"total": {"p50": 0.01, "p95": 0.02}}}
    full = [{"width": 96, "height": 64, **{kind: {**TIMES, "ratio": 1.2345} for kind in ("first", "later")}}]
    rle = {"rle": {"ours": TIMES, "sdk": {"p50": 1.0, "p95": 2.0}}}
    latency(
        {
            "version": "base-1-a",
            "device": "cpu",
            "cpus": 2,
            "sizes": [{"width": 96, "height": 64, **clicks, **rle}],
            "full": {"9 keys": full},
        }
    )
    shown = capsys.readouterr().out
    assert "base-1-a on cpu, 2 CPUs" in shown
    first, later = [line for line in shown.splitlines() if "96x64" in line][:2]
    assert first.count("12.3 / 45.6") == len(STAGES)
    assert later.count("10.0 / 20.0") == 1 and later.count(" - ") == len(STAGES) - 1
    assert "With 9 keys" in shown and "1.234" in shown
    assert "RLE 96x64: ours 12.3 / 45.6 ms, Label Studio's SDK 1000.0 / 2000.0 ms" in shown


def test_annotators_shows_a_line_for_each_crowd(capsys: pytest.CaptureFixture[str]) -> None:
    level = {
        "annotators": 8,
        "clicks": 40,
        "per_second": 3.21,
        "p50": 0.1,
        "p95": 0.2,
        "longest": 0.3,
        "refusals": 1,
        "errors": 0,
        "unequal": 2,
        "checked": 40,
        "memory_mb": 512.0,
        "memory_growth": 0.015,
    }
    none = {"annotators": 1, "clicks": 0, "refusals": 0, "errors": 5, "unequal": 0, "checked": 0}
    annotators({"workers": 2, "cpus": 2, "think_s": 1.5, "levels": [level, none]})
    shown = capsys.readouterr().out
    assert "2 web processes, 2 CPUs, a pause of 1.5 s" in shown
    for part in ("3.2", "100 / 200 / 300", "2 of 40", "512 (+1.5%)", "- / - / -", "0 of 0"):
        assert part in shown
    annotators({"workers": 0, "cpus": 2, "think_s": 0, "levels": []})
    assert "a server that was running" in capsys.readouterr().out


def test_network_compares_with_a_matrix_product(capsys: pytest.CaptureFixture[str]) -> None:
    network(
        {
            "version": "base-1-a",
            "network": "lite0-fpn",
            "device": "cpu",
            "cpus": 2,
            "precision": "float32",
            "product_gflops": 200.0,
            "passes": [{"size": 384, "multiply_adds": 3.3e9, "seconds": 0.05, "gflops": 132.0}],
        }
    )
    shown = capsys.readouterr().out
    for part in ("384x384", "3.30 G", "50.0", "132", "66%", "in float32 reaches 200 GFLOP/s"):
        assert part in shown
