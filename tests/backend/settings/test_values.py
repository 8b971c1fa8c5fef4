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
    assert values.host("unix:///run/clickmask.sock") == "unix:/run/clickmask.sock"


@pytest.mark.parametrize("text", ["unix:", "unix://", "unix:/" + "x" * 107, "unix:/" + "ü" * 60])
def test_a_socket_file_has_a_path_that_fits(text: str) -> None:
    assert values.host("unix:/" + "x" * 106)
    with pytest.raises(ValueError, match="write unix: and a path of 1 to 107 bytes"):
        values.host(text)


@pytest.mark.parametrize("text", ["http://0.0.0.0", "0.0.0.0:9090", "[::1]:9090", "*", "a b"])
def test_what_nobody_can_listen_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="without http:// and without a port"):
        values.host(text)


@pytest.mark.parametrize("name", [".redis.svc", "a..b", "x" * 70])
def test_a_name_that_cannot_be_looked_up_is_refused(name: str) -> None:
    for parse, text in (
        (values.redis_url, f"redis://me:word@{name}:6379/0"),
        (values.url("http"), f"http://{name}/path"),
        (values.host, name),
        (values.hosts, name),
    ):
        with pytest.raises(ValueError, match=f"{name} is no host name: write 1 to 63 letters"):
            parse(text)
    assert values.redis_url("redis://my_redis.svc.") == "redis://my_redis.svc."


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
    with pytest.raises(ValueError, match="LABEL_STUDIO_API_KEY.*BASIC_AUTH_USER") as caught:
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
    "text",
    [
        "redis://me:p%23@host:6379/0",
        "redis://host?username=me&password=p%23&db=1&socket_timeout=12&max_connections=9&client_name=me",
        "unix:///run/redis.sock?db=1",
        "rediss://host?ssl_cert_reqs=none&ssl_min_version=771&ssl_keyfile=key.pem&ssl_certfile=certificate.pem",
    ],
)
def test_the_address_of_a_redis(text: str) -> None:
    assert values.redis_url(text) == text


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("redis://host/0?timeout=3", "leave out.*timeout"),
        ("redis://host/0?retry=3", "leave out retry; after the \\? may be db, .*socket_timeout"),
        ("redis://host/0?encoding=", "leave out encoding"),
        ("redis://host/0?socket_type=1", "leave out socket_type"),
        ("unix:///run/redis.sock?credential_provider=x", "leave out credential_provider"),
        ("rediss://host/0?ssl_ocsp_context=x", "leave out ssl_ocsp_context"),
        ("rediss://host/0?ssl_nothing=x", "leave out.*ssl_nothing"),
        ("rediss://host/0?ssl_min_version=2", "leave out.*TLSVersion"),
        ("rediss://host/0?ssl_keyfile=key.pem", "name that in ssl_certfile"),
        ("redis://host/0?socket_timeout=abc", "correct socket_timeout: write a number from 0.001 to 86400"),
        ("redis://host/0?socket_timeout=-1", "correct socket_timeout: write a number from 0.001 to 86400"),
        ("redis://host/0?socket_connect_timeout=nan", "correct socket_connect_timeout: write a number"),
        ("redis://host/0?protocol=9", "leave out.*protocol"),
        ("redis://host/0?decode_responses=true", "leave out decode_responses"),
        ("redis://host/main", "number of a database"),
    ],
)
def test_what_no_client_of_redis_takes_is_refused(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        values.redis_url(text)


def test_a_bucket_has_no_account() -> None:
    assert values.store("s3://bucket/clickmask/") == "s3://bucket/clickmask"
    with pytest.raises(ValueError, match="a bucket has no account") as caught:
        values.store("s3://key:hidden@bucket/clickmask")
    assert "hidden" not in str(caught.value)
