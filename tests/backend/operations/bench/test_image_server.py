import pytest
import requests

from backend.operations.bench.image_server import ImageServer


def test_files_are_served_while_the_context_lasts() -> None:
    with ImageServer() as server:
        server.files["/a.jpg"] = b"picture"
        assert requests.get(f"{server.url}/a.jpg", timeout=60).content == b"picture"
        assert requests.get(f"{server.url}/b.jpg", timeout=60).status_code == 404
        server.files["/b.jpg"] = b"later"
        assert requests.get(f"{server.url}/b.jpg", timeout=60).content == b"later"
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/a.jpg", timeout=60)
