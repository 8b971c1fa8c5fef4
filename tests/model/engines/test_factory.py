import pytest

from model.engines.factory import create_engine


@pytest.mark.parametrize(
    ("size", "device", "precision", "message"),
    [
        (100, "cpu", "auto", "multiple of 32"),
        (64, "tpu", "auto", "'tpu'"),
        (64, "cpu", "int8", "precision 'int8'"),
    ],
)
def test_wrong_arguments_are_named(network, size, device, precision, message):
    with pytest.raises(ValueError, match=message):
        create_engine(network, size, device, precision=precision)
