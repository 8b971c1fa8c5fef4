import dataclasses
from pathlib import Path

import pytest

from backend.settings import Settings, SettingsError


def test_defaults_need_no_environment() -> None:
    settings = Settings.from_env({})
    assert (settings.host, settings.port, settings.image_cache_mb) == ("127.0.0.1", 9090, 512)
    assert settings.home == Path("~/.clickmask").expanduser()


def test_values_are_read_and_typed(tmp_path: Path) -> None:
    settings = Settings.from_env(
        {
            "LABEL_STUDIO_URL": "https://ls.example.com/label-studio/",
            "CLICKMASK_HOME": str(tmp_path),
            "CLICKMASK_FLIP": "yes",
            "CLICKMASK_IMAGE_HOSTS": "a.example.com, B.example.com",
            "CLICKMASK_DEADLINE_S": "2.5",
            "CLICKMASK_PORT": "",
        }
    )
    assert settings.label_studio_url == "https://ls.example.com/label-studio"
    assert settings.home == tmp_path
    assert settings.flip is True
    assert settings.image_hosts == ("a.example.com", "b.example.com")
    assert settings.deadline_s == 2.5
    assert settings.port == 9090  # an empty variable is an unset one


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("CLICKMASK_PORT", "99999", "1 to 65535"),
        ("CLICKMASK_PORT", "0", "1 to 65535"),
        ("CLICKMASK_PORT", "ninety", "whole number"),
        ("CLICKMASK_DEADLINE_S", "nan", "0.1 to 100"),
        ("CLICKMASK_DEVICE", "tpu", "auto, cpu, cuda, openvino"),
        ("CLICKMASK_FLIP", "perhaps", "1 or 0"),
        ("CLICKMASK_REDIS_URL", "localhost:6379", "redis://"),
        ("CLICKMASK_REGISTRY", "bucket/models", "s3://"),
        ("CLICKMASK_REGISTRY", "s4://bucket/models", "s3://"),
        ("LABEL_STUDIO_URL", "ls.example.com", "http://"),
    ],
)
def test_an_error_names_variable_value_and_fix(name: str, value: str, fix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: value})
    assert all(part in str(caught.value) for part in (name, value, fix))


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"CLICKMASK_PORT": "x", "CLICKMASK_SLOTS": "0"})
    assert len(str(caught.value).splitlines()) == 2


def test_an_open_address_needs_a_password_or_consent() -> None:
    with pytest.raises(SettingsError, match="CLICKMASK_ALLOW_ANONYMOUS"):
        Settings.from_env({"CLICKMASK_HOST": "0.0.0.0"})
    for extra in ({"CLICKMASK_ALLOW_ANONYMOUS": "1"}, {"BASIC_AUTH_USER": "u", "BASIC_AUTH_PASS": "p"}):
        assert Settings.from_env({"CLICKMASK_HOST": "0.0.0.0", **extra}).host == "0.0.0.0"
    for host in ("127.0.0.1", "::1", "localhost"):
        Settings.from_env({"CLICKMASK_HOST": host})


def test_half_a_login_is_refused() -> None:
    with pytest.raises(SettingsError, match="BASIC_AUTH_PASS is not set"):
        Settings.from_env({"BASIC_AUTH_USER": "u"})


def test_secrets_are_shown_nowhere() -> None:
    settings = Settings.from_env(
        {
            "LABEL_STUDIO_API_KEY": "hidden-token",
            "BASIC_AUTH_USER": "u",
            "BASIC_AUTH_PASS": "hidden-pass",
            "CLICKMASK_WEBHOOK_SECRET": "hidden-hook",
            "CLICKMASK_REDIS_URL": "redis://me:hidden-redis@host:6379/0",
        }
    )
    assert "hidden" not in repr(settings) + repr(settings.masked())
    assert settings.masked()["CLICKMASK_REDIS_URL"] == "redis://***@host:6379/0"
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"CLICKMASK_REDIS_URL": "http://me:hidden-redis@host"})
    assert "hidden" not in str(caught.value)


def test_the_environment_can_be_handed_on() -> None:
    settings = Settings.from_env(
        {"CLICKMASK_IMAGE_HOSTS": "a b", "CLICKMASK_FLIP": "1", "CLICKMASK_PORT": "1"}
    )
    assert Settings.from_env(settings.to_env()) == settings


def test_a_misspelt_variable_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    Settings.from_env({"CLICKMASK_IMAGE_HOST": "a"})
    assert "CLICKMASK_IMAGE_HOSTS" in caplog.text


def test_what_has_to_be_masked_is_known() -> None:
    settings = Settings.from_env(
        {
            "LABEL_STUDIO_API_KEY": "hidden-token",
            "CLICKMASK_WEBHOOK_SECRET": "hidden-hook",
            "CLICKMASK_REDIS_URL": "redis://:hidden%23redis@host:6379/0",
        }
    )
    assert set(settings.secrets()) == {"hidden-token", "hidden-hook", "hidden%23redis", "hidden#redis"}


@pytest.mark.parametrize(
    "address",
    [
        "redis://:topsecret#1@host:6379/0",
        "redis://:top/secret@host:6379/0",
        "redis://me:top?secret@host",
        "redis://:top[secret@host",
        "redis://:topsecret",
        "redis://topsecret#1",
        "rediss://:top\uff03secret@host",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"CLICKMASK_REDIS_URL": address})
    assert "CLICKMASK_REDIS_URL" in str(caught.value)
    assert "%23" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "bind", "own"),
    [
        ("127.0.0.1", "127.0.0.1:9090", "http://127.0.0.1:9090"),
        ("::1", "[::1]:9090", "http://[::1]:9090"),
        ("[::1]", "[::1]:9090", "http://[::1]:9090"),
        ("0.0.0.0", "0.0.0.0:9090", "http://127.0.0.1:9090"),
        ("::", "[::]:9090", "http://[::1]:9090"),
        ("backend.lan", "backend.lan:9090", "http://backend.lan:9090"),
    ],
)
def test_where_it_listens_and_how_it_is_reached(host: str, bind: str, own: str) -> None:
    settings = Settings.from_env({"CLICKMASK_HOST": host, "CLICKMASK_ALLOW_ANONYMOUS": "1"})
    assert (settings.bind, settings.own_url) == (bind, own)


def test_a_socket_file_has_no_address() -> None:
    settings = Settings.from_env({"CLICKMASK_HOST": "unix:/run/clickmask.sock"})
    assert settings.bind == "unix:/run/clickmask.sock"
    with pytest.raises(SettingsError, match="`clickmask serve` can listen there"):
        _ = settings.own_url
    with pytest.raises(SettingsError, match="--url"):
        _ = settings.public_url


def test_a_user_without_a_home_folder_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    # Such as a container's, with no entry in /etc/passwd.
    monkeypatch.setattr("os.getuid", lambda: 123_456_789)
    with pytest.raises(SettingsError, match="CLICKMASK_HOME is not set, and this user has no home folder"):
        Settings.from_env({})
    with pytest.raises(SettingsError, match="CLICKMASK_HOME is '~/x': .*an absolute path"):
        Settings.from_env({"CLICKMASK_HOME": "~/x"})
    assert Settings.from_env({"CLICKMASK_HOME": "/data"}).home.as_posix() == "/data"


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("'/data'", "write the path without quotes"),
        ('"/data"', "write the path without quotes"),
        ("s3://bucket/data", "write a path on this machine"),
    ],
)
def test_what_is_no_path_makes_no_folder_of_that_name(text: str, fix: str) -> None:
    with pytest.raises(SettingsError, match=f"CLICKMASK_HOME is .*data.*: {fix}"):
        Settings.from_env({"CLICKMASK_HOME": text})


def test_label_studio_may_reach_the_backend_elsewhere_than_where_it_listens() -> None:
    here = Settings.from_env({"CLICKMASK_HOST": "::", "CLICKMASK_ALLOW_ANONYMOUS": "1"})
    assert here.public_url == here.own_url == "http://[::1]:9090"
    there = dataclasses.replace(here, url="https://clicks.example.com")
    assert (there.own_url, there.public_url) == ("http://[::1]:9090", "https://clicks.example.com")
