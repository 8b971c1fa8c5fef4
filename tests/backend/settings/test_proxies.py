import pytest

from backend.settings.proxies import described, proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://studio.example/a", None),
        ({"HTTP_PROXY": PROXY}, "http://studio.example/a", PROXY),
        ({"HTTP_PROXY": PROXY}, "https://studio.example/a", None),
        ({"HTTPS_PROXY": PROXY}, "https://studio.example/a", PROXY),
        ({"ALL_PROXY": PROXY}, "https://studio.example/a", PROXY),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "studio.example"}, "http://studio.example/a", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": ".example"}, "http://studio.example:8080/a", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, "http://10.1.2.3/a", None),
        ({"HTTP_PROXY": PROXY}, "http://10.1.2.3/a", PROXY),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "a.example, fd00::/8"}, "http://[fd00::5]:8080/a", None),
        ({"HTTP_PROXY": PROXY, "no_proxy": "[2001:db8::5]"}, "http://[2001:db8::5]/a", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "fd00::/8"}, "http://[2001:db8::5]/a", PROXY),
    ],
)
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


@pytest.mark.parametrize(
    "host", ["localhost:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:8080", "studio.localhost"]
)
def test_this_machine_is_asked_directly(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    assert proxy_for(f"http://{host}/a") is None


def test_a_proxy_is_named_without_its_account() -> None:
    assert described("http://me:hidden@proxy.example:3128") == (
        "the proxy http://***@proxy.example:3128 of HTTP_PROXY or HTTPS_PROXY"
    )
