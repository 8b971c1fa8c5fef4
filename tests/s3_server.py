"""An S3 server for tests: moto, which speaks S3 over HTTP and keeps the objects in memory."""

from __future__ import annotations

import itertools
import logging

import boto3
import fsspec
from moto.server import ThreadedMotoServer

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
_names = itertools.count()


class ObjectStore:
    """One bucket of a running server; `environment` lets other processes use it by `url`."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", 0)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self._endpoint = f"http://{host}:{port}"
        self.bucket = f"bucket-{next(_names)}"
        self.url = f"s3://{self.bucket}/clickmask"
        self.environment = {**KEYS, "FSSPEC_S3_ENDPOINT_URL": self._endpoint}
        self._s3 = boto3.client(
            "s3", endpoint_url=self._endpoint, aws_access_key_id="test", aws_secret_access_key="test"
        )
        self._s3.create_bucket(Bucket=self.bucket)
        fsspec.config.conf["s3"] = {
            "endpoint_url": self._endpoint,
            "key": "test",
            "secret": "test",
            "config_kwargs": {"retries": {"max_attempts": 0}},
        }

    def objects(self) -> dict[str, bytes]:
        """What is stored, by path below the registry."""
        listed = self._s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        names = [entry["Key"] for entry in listed]
        return {
            n.removeprefix("clickmask/"): self._s3.get_object(Bucket=self.bucket, Key=n)["Body"].read()
            for n in names
        }

    def put(self, path: str, data: bytes) -> None:
        """Write an object behind clickmask's back."""
        self._s3.put_object(Bucket=self.bucket, Key=f"clickmask/{path}", Body=data)

    def remove(self, path: str) -> None:
        """Remove an object behind clickmask's back."""
        self._s3.delete_object(Bucket=self.bucket, Key=f"clickmask/{path}")

    def stop(self) -> None:
        """Stop the server; what asks it gets no connection."""
        self._server.stop()

    def close(self) -> None:
        """Stop the server and forget its address."""
        self.stop()
        fsspec.config.conf.pop("s3", None)
