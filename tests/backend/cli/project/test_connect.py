"""`clickmask connect`: what it refuses before Label Studio is asked; tests/e2e/test_operation.py has the rest."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from backend.cli import main
from tests.backend.connected_studio import ConnectedStudio

NOBODY = {"LABEL_STUDIO_URL": "http://127.0.0.1:1", "LABEL_STUDIO_API_KEY": "a" * 40}


def connect(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["connect", "3", *arguments], env={**NOBODY, **environment})


@pytest.mark.parametrize("address", ["http://0.0.0.0:9090", "http://[::]:9090", "https://0.0.0.0/backend"])
def test_an_address_to_listen_on_is_not_registered(address: str) -> None:
    result = connect("--url", address)
    assert result.exit_code == 2
    assert "where a server listens" in result.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::1", "127.0.0.1"])
def test_the_default_address_is_one_that_can_be_called(host: str) -> None:
    result = connect(CLICKMASK_HOST=host, CLICKMASK_ALLOW_ANONYMOUS="1")
    assert result.exit_code == 1
    assert "Label Studio at http://127.0.0.1:1 cannot be reached" in result.output


def test_labels_have_names() -> None:
    result = connect("--labels", " , ")
    assert result.exit_code == 2
    assert "name at least one label" in result.output


@pytest.mark.parametrize(
    ("before", "source"),
    [
        ('<View><Image name="photo" value="$img"/></View>', 'value="$img"'),
        # Of images in `value` the editor shows the first alone.
        ('<View><Image name="photo" valueList="$pages"/></View>', 'valueList="$pages"'),
        ("<View></View>", 'value="$image"'),
        ("<!DOCTYPE x><View/>", 'value="$image"'),
    ],
)
def test_a_config_that_is_replaced_keeps_its_images(before: str, source: str) -> None:
    studio = ConnectedStudio()
    try:
        project = studio.add_project(label_config=before)
        environment = {"LABEL_STUDIO_URL": studio.web.url, "LABEL_STUDIO_API_KEY": "a" * 40}
        done = CliRunner().invoke(main, ["connect", str(project), "--labels", "Cat"], env=environment)
        assert done.exit_code == 0, done.output
        assert f'<Image name="image" {source} ' in studio.projects[project]["label_config"]
    finally:
        studio.close()


@pytest.mark.parametrize(("click_with", "replace"), [("KeyPointLabels", False), ("EllipseLabels", True)])
def test_only_a_config_that_answers_no_click_is_to_be_replaced(click_with: str, replace: bool) -> None:
    studio = ConnectedStudio()
    try:
        tags = "".join(
            f'<{tag} name="{tag}" toName="i"><Label value="Cat"/></{tag}>'
            for tag in ("BrushLabels", click_with)
        )
        project = studio.add_project(label_config=f'<View><Image name="i" value="$image"/>{tags}</View>')
        environment = {"LABEL_STUDIO_URL": studio.web.url, "LABEL_STUDIO_API_KEY": "a" * 40}
        done = CliRunner().invoke(main, ["connect", str(project)], env=environment)
        assert done.exit_code == 0, done.output
        assert "offers a smart tool that does nothing" in done.output
        assert ("replaces the config" in done.output) is replace
    finally:
        studio.close()


def test_a_socket_file_needs_an_address() -> None:
    result = connect(CLICKMASK_HOST="unix:/run/clickmask.sock")
    assert result.exit_code == 1
    assert "--url" in result.output
