import pytest

from backend.settings import values


def test_numbers_have_bounds() -> None:
    assert values.number(int, 0, 10)("7") == 7
    for text in ("11", "-1", "seven", "7.5"):
        with pytest.raises(ValueError, match="write a whole number from 0 to 10"):
            values.number(int, 0, 10)(text)
    with pytest.raises(ValueError, match="write a number from 0 to 1"):
        values.number(float, 0, 1)("nan")


def test_flags_and_names() -> None:
    assert [values.flag(text) for text in ("1", "yes", "Off", "0")] == [True, True, False, False]
    assert values.names("A.example.com, b") == ("a.example.com", "b")


def test_an_account_is_what_label_studio_can_send() -> None:
    assert values.account("Straße 7") == "Straße 7"
    with pytest.raises(ValueError, match=r"cannot send the character U\+5BC6"):
        values.account("pass密码")


def test_addresses_keep_what_they_say() -> None:
    parse = values.url("redis", "unix", account=True)
    assert parse("redis://me:p%23@host:6379/0") == "redis://me:p%23@host:6379/0"
    assert parse("unix:///run/redis.sock") == "unix:///run/redis.sock"
    assert parse("redis://[::1]:6379/") == "redis://[::1]:6379"


def test_an_account_is_refused_where_it_opens_nothing() -> None:
    with pytest.raises(ValueError, match="LABEL_STUDIO_API_KEY") as caught:
        values.url("http")("http://me:hidden@host")
    assert "hidden" not in str(caught.value)
