"""Objects that come in parts, at an S3 server: by URLs that the `minio` SDK signs.

The SDK has its own multipart uploads only within one call, so that none outlives a process. It
signs any request as a URL, though, which is public, and reads what servers answer. Such a URL signs
no body: no digest of each part is taken here and at the server (docs/decisions/0007).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.datatypes import ListPartsResult
from minio.error import InvalidResponseError, S3Error
from minio.xml import Element, SubElement, findtext, getbytes, unmarshal

from homeward.core.networks import is_loopback
from homeward.ingestion.footage.ports import Part

SIGNED_FOR = timedelta(minutes=15)
"""Longest duration of a request: the difference that S3 allows between two clocks."""

_DONE = frozenset({200, 204})
_XML = "application/xml"
_BYTES = "application/octet-stream"
_NO_UPLOAD = frozenset({"NoSuchUpload", "NoSuchKey"})  # Ceph names the key when it lists its parts


class MultipartUploads:
    """The multipart uploads of a bucket. Its calls block, and raise what the SDK does.

    Args:
        client: Signs.
        bucket: Name of the bucket.
        endpoint: The server's URL.
        http: Sends.
    """

    def __init__(
        self, client: Minio, bucket: str, endpoint: str, http: urllib3.PoolManager
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._http = http
        self._sends_digest = not _delivers_unchanged(endpoint)

    def begin(self, key: str) -> str:
        """Begin an upload and return its id."""
        headers = {"Content-Type": _BYTES}
        answer = self._send("POST", key, {"uploads": ""}, headers=headers)
        return unmarshal(_Begun, answer.data.decode()).upload_id

    def put(self, key: str, upload_id: str, number: int, data: bytes | memoryview) -> Part:
        """Store one part, without a copy of it in memory."""
        answer = self._send(
            "PUT",
            key,
            {"partNumber": str(number), "uploadId": upload_id},
            body=data,
            headers={"Content-MD5": _md5(data)} if self._sends_digest else {},
        )
        return Part(number, answer.headers.get("etag", "").replace('"', ""), len(data))

    def put_whole(self, key: str, data: bytes | memoryview) -> None:
        """Write an object at once, without a copy of it in memory."""
        headers = {"Content-Type": _BYTES}
        if self._sends_digest:
            headers["Content-MD5"] = _md5(data)
        self._send("PUT", key, {}, body=data, headers=headers)

    def parts(self, key: str, upload_id: str) -> list[Part]:
        """Return the parts that are stored, in their order; none if the upload is unknown."""
        found: list[Part] = []
        query = {"uploadId": upload_id}
        while True:
            try:
                page = ListPartsResult(self._send("GET", key, query))
            except S3Error as error:
                if error.code in _NO_UPLOAD:
                    return []
                raise
            found += [Part(int(part.part_number), part.etag, part.size or 0) for part in page.parts]
            if not page.is_truncated:
                return sorted(found, key=lambda part: part.number)
            query["part-number-marker"] = str(page.next_part_number_marker)

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make parts one object."""
        body = Element("CompleteMultipartUpload")
        for part in parts:
            element = SubElement(body, "Part")
            SubElement(element, "PartNumber", str(part.number))
            SubElement(element, "ETag", f'"{part.etag}"')
        answer = self._send("POST", key, {"uploadId": upload_id}, body=getbytes(body))
        # A server may begin to answer before it is done, and tell in the end that it failed.
        error = S3Error.fromxml(answer)
        if error.code:
            raise error

    def abort(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts, if it is there."""
        try:
            self._send("DELETE", key, {"uploadId": upload_id})
        except S3Error as error:
            if error.code not in _NO_UPLOAD:
                raise

    def _send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        *,
        body: bytes | memoryview = b"",
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return its answer, raising what the SDK's own calls raise."""
        url = self._client.get_presigned_url(
            method, self._bucket, key, SIGNED_FOR, extra_query_params=dict(query)
        )
        sent: Any = body  # urllib3 takes any buffer, which its types leave out
        answer = self._http.request(method, url, body=sent, headers=headers, redirect=False)
        if answer.status in _DONE:
            return answer
        kind = answer.headers.get("content-type", "")
        text = (answer.data or b"").decode(errors="replace")
        if not text or _XML not in kind.split(";"):
            raise InvalidResponseError(answer.status, kind, text)
        raise S3Error.fromxml(answer)


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a server answers when an upload begins."""

    upload_id: str

    @classmethod
    def fromxml(cls, element: Any) -> Self:  # noqa: ANN401 - as the SDK's `unmarshal` has it
        """Return what the element says."""
        return cls(str(findtext(element, "UploadId", strict=True)))


def _delivers_unchanged(endpoint: str) -> bool:
    """Tell whether bytes reach a server as they are sent: by TLS, or within this machine."""
    parts = urlsplit(endpoint)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def _md5(data: bytes | memoryview) -> str:
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
