import sys
from pathlib import Path

import numpy as np
import pytest

from backend.operations.bench.click_requests import BenchError
from backend.operations.bench.rle_comparison import compare_rle

SDK = Path(__file__).parents[4] / ".venv-labelstudio" / "bin" / "python"


def test_the_encoders_are_compared(tmp_path: Path) -> None:
    if not SDK.exists():
        pytest.skip(f"missing: {SDK} with label_studio_sdk")
    ours, sdk = compare_rle([np.eye(50, dtype=bool)] * 3, str(SDK), tmp_path)
    assert len(ours) == len(sdk) == 3
    assert min(ours + sdk) > 0


def test_a_python_without_the_sdk_is_named(tmp_path: Path) -> None:
    for python in (sys.executable, str(tmp_path / "no-python")):
        with pytest.raises(BenchError, match=f"{python} cannot run label_studio_sdk"):
            compare_rle([np.eye(50, dtype=bool)], python, tmp_path)
