import pytest

from backend.settings import values


def test_numbers_have_bounds() -> None:
    assert values.number(int, 0, 10)("7") == 7
    for text in ("11", "-1", "seven", "7.5"):
        with pytest.raises(ValueError, match="write a whole number from 0 to 10"):
            values.number(int, 0, 10)(text)
    with pytest.raises(ValueError, match="write a number from 0 to 1"):
        values.number(float, 0, 1)("nan")


def test_flags() -> None:
    assert [values.flag(text) for text in ("1", "yes", "Off", "0")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A.example.com, b:8080", ("a.example.com", "b:8080")),
        ("*", ("*",)),
        ("::1 [::1] [FE80::1%eth0]:80", ("::1", "::1", "[fe80::1%eth0]:80")),
        ("Bücher.example:81", ("xn--bcher-kva.example:81",)),
    ],
)
def test_hosts_are_read_as_addresses_name_them(text: str, read: tuple[str, ...]) -> None:
    assert values.hosts(text) == read


@pytest.mark.parametrize("text", ["http://a", "a/b", "me:word@a", "*.example.com", "a:b", "[::1", "a..b"])
def test_what_could_never_be_a_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="without http://|no host name"):
        values.hosts(f"good {text}")


@pytest.mark.parametrize("text", ["0.0.0.0", "::1", "localhost", "my_host", "unix:/run/clickmask.sock"])
def test_a_place_to_listen(text: str) -> None:
    assert values.host(text) == text
    assert values.host("[::1]") == "::1"


@pytest.mark.parametrize("text", ["http://0.0.0.0", "0.0.0.0:9090", "[::1]:9090", "*", "a b"])
def test_what_nobody_can_listen_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="without http:// and without a port"):
        values.host(text)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("http:///studio", "write a full address"),
        ("http://:8080", "write a full address"),
        ("redis:/:hidden@host", "write a full address"),
        ("redis://:hidden@", "write a full address"),
        ("http://host:99999", "a port is a number"),
        ("http://my host", "no space"),
        ("http://host/?token=hidden", "leave out \\? and what comes after"),
    ],
)
def test_half_an_address_is_refused(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix) as caught:
        values.url("http", "redis", account=True)(text)
    assert "hidden" not in str(caught.value)


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


@pytest.mark.parametrize(
    "text", ['"hidden"', "'hidden'", "Token hidden", "hidden\nhidden", "hidden\u20ac", "hidd\u00e9n"]
)
def test_a_token_is_what_a_header_can_hold(text: str) -> None:
    assert values.token("eyJhbGciOi.eyJ0b2tlbl-_.x") == "eyJhbGciOi.eyJ0b2tlbl-_.x"
    with pytest.raises(ValueError, match="the token alone") as caught:
        values.token(text)
    assert "hidden" not in str(caught.value)


def test_a_secret_of_webhooks_is_what_a_header_can_hold() -> None:
    assert values.header("Straße 7") == "Straße 7"
    with pytest.raises(ValueError, match="in one line"):
        values.header("one\ntwo")
    with pytest.raises(ValueError, match="cannot send"):
        values.header("密码")


@pytest.mark.parametrize(
    "text", ["redis://me:p%23@host:6379/0", "unix:///run/redis.sock?db=1", "rediss://host?ssl_cert_reqs=none"]
)
def test_the_address_of_a_redis(text: str) -> None:
    assert values.redis_url(text) == text


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("redis://host/0?timeout=3", "leave out.*timeout"),
        ("redis://host/0?socket_timeout=abc", "leave out.*socket_timeout"),
        ("redis://host/0?protocol=9", "leave out.*protocol"),
        ("redis://host/0?decode_responses=true", "leave out decode_responses"),
        ("redis://host/main", "number of a database"),
    ],
)
def test_what_no_client_of_redis_takes_is_refused(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        values.redis_url(text)
