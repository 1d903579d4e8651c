from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from minio import Minio
from minio.error import InvalidResponseError, S3Error
from urllib3 import HTTPResponse

from homeward.ingestion.adapters.s3_multipart import MultipartUploads
from homeward.ingestion.footage.ports import Part

XML = {"content-type": "application/xml"}


class Http:
    """Answers every request alike, and keeps what was sent."""

    def __init__(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        self.answer = HTTPResponse(body, {"etag": '"e-1"', **headers}, status, request_method="GET")
        self.headers: dict[str, str] = {}

    def request(self, _: str, __: str, *, headers: Any, **___: Any) -> HTTPResponse:
        self.headers = dict(headers or {})
        return self.answer


def uploads(http: Any, endpoint: str = "http://127.0.0.1:9000") -> MultipartUploads:
    client = Minio(
        urlsplit(endpoint).netloc,
        access_key="key",
        secret_key="secret",
        region="us-east-1",
    )
    return MultipartUploads(client, "a-bucket", endpoint, http)


@pytest.mark.parametrize("endpoint", ["http://store.example:9000", "http://10.0.0.1:9000"])
def test_what_goes_over_a_network_in_plain_text_carries_its_digest(endpoint: str) -> None:
    http = Http()

    uploads(http, endpoint).put("a", "upload", 1, b"part")

    digest = hashlib.md5(b"part", usedforsecurity=False).digest()
    assert http.headers["Content-MD5"] == base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://store.example",
        "http://127.0.0.1:9000",
        "http://localhost:9000",
        "http://[::1]:9000",
    ],
)
def test_what_cannot_change_on_its_way_carries_none(endpoint: str) -> None:
    http = Http()

    assert uploads(http, endpoint).put("a", "upload", 1, b"part") == Part(1, "e-1", 4)
    assert "Content-MD5" not in http.headers


def test_a_completion_that_fails_after_its_answer_began_is_an_error() -> None:
    http = Http(b"<Error><Code>InternalError</Code></Error>", **XML)

    with pytest.raises(S3Error, match="InternalError"):
        uploads(http).complete("a", "upload", [Part(1, "e-1", 4)])


def test_a_refusal_has_the_code_of_the_server() -> None:
    http = Http(b"<Error><Code>NoSuchBucket</Code></Error>", 404, **XML)

    with pytest.raises(S3Error, match="NoSuchBucket"):
        uploads(http).begin("a")


@pytest.mark.parametrize("body", [b"", b"<html>who are you?</html>"])
def test_an_answer_that_is_not_of_s3_is_an_error(body: bytes) -> None:
    http = Http(body, 407, **{"content-type": "text/html"})

    with pytest.raises(InvalidResponseError):
        uploads(http).begin("a")
