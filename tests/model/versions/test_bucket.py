import json
from pathlib import Path

import pytest

from model.versions.bucket import Bucket, StoreError
from model.versions.object_store import ObjectStore
from tests.outgoing_calls import outgoing_calls


def test_objects_come_back_and_go(tmp_path: Path) -> None:
    bucket = Bucket(f"file://{tmp_path}/models/")
    assert bucket.read("base/current") is None
    assert bucket.find("") == []
    (tmp_path / "models/base").mkdir(parents=True)  # the file system is the only store with folders
    bucket.write("base/current", b"1-0a1b2c3d\n")
    assert bucket.read("base/current") == b"1-0a1b2c3d\n"
    assert bucket.find("") == ["base/current"]
    assert bucket.find("base") == ["current"]
    bucket.remove("base/current")
    bucket.remove("base/current")
    assert bucket.read("base/current") is None


def test_a_store_that_fsspec_does_not_know_is_named() -> None:
    with pytest.raises(StoreError, match="teapot://models.*teapot"):
        Bucket("teapot://models").read("base/current")


def test_a_password_in_the_url_is_not_told(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path, "sftp://somebody:secret@127.0.0.1:1/models")
    assert "secret" not in (reason := store.refresh("base")) and "127.0.0.1:1/models" in reason


WITHOUT_KEYS = """
for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
    del os.environ[name]
os.environ.update(json.loads(os.environ["OPERATOR"]))
from model.versions.bucket import Bucket, StoreError
try:
    Bucket("s3://models").read("base/current")
except StoreError as error:
    assert "credentials" in str(error) and "AWS_EC2_METADATA_DISABLED=false" in str(error), error
"""


@pytest.mark.parametrize(("operator", "asked"), [({}, False), ({"AWS_EC2_METADATA_DISABLED": "false"}, True)])
def test_without_keys_nobody_is_asked_for_them(tmp_path: Path, operator: dict[str, str], asked: bool) -> None:
    here = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9/"}  # in place of 169.254.169.254
    code = f"import json\n{WITHOUT_KEYS}"
    calls = outgoing_calls(code, tmp_path / "home", OPERATOR=json.dumps(operator | here))
    assert bool(calls) == asked, calls
