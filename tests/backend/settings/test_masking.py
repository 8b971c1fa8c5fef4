import pytest

from backend.settings.masking import mask, passwords, without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("localhost:6379", "localhost:6379"),
        ("redis://me:secret@host/0", "redis://***@host/0"),
        ("redis://:se@cret@host/0", "redis://***@host/0"),
        ("redis://:sec/ret#1@host/0", "redis://***@host/0"),
        ("redis://me:secret", "redis://***"),
        ("redis://secret#1", "redis://***"),
        ("redis://host/0?password=secret&db=1", "redis://host/0?password=***&db=***"),
        (":secret@host", "***@host"),
        ("me:secret", "***"),
        ("fe80::1", "fe80::1"),
        ("unix:/run/redis.sock", "unix:/run/redis.sock"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_passwords_are_found_as_written_and_decoded() -> None:
    assert passwords("redis://me:a%23b@host/0?password=word") == ["a%23b", "a#b", "word"]
    assert passwords("redis://host/0") == []
    assert passwords("me:word@host") == []


def test_a_text_loses_its_secrets() -> None:
    text = "token abcdef12 of https://me:word@host/a refused, see http://host/photo@2x.jpg"
    assert (
        mask(text, ("abcdef12", "abc"))
        == "token *** of https://***@host/a refused, see http://host/photo@2x.jpg"
    )


def test_a_very_short_secret_is_not_searched_for_in_words() -> None:
    assert mask("it is a test", ("a",)) == "it is a test"
