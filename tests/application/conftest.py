"""The application that answers, as the tests of the backend have it."""

from tests.backend.conftest import app, client, images, settings

__all__ = ["app", "client", "images", "settings"]
