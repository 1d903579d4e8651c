"""Recordings under a prefix of somebody's S3 bucket, which is only read.

Needs the extra `s3`. An object is whole by nature: S3 shows none that is still being written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from homeward.cli.errors import CliError, ExitCode
from homeward.cli.intake.changes import ChangedError
from homeward.cli.intake.facts import MOST_SIDE_CAR_BYTES, SIDE_CAR_SUFFIX
from homeward.core.distribution import how_to_install
from homeward.core.private_files import make_private_folder, write_private

if TYPE_CHECKING:
    from minio import Minio

KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SESSION_VARIABLE = "AWS_SESSION_TOKEN"
DEFAULT_ENDPOINT = "https://s3.amazonaws.com"
RECORD = ".taken-in.json"
FETCHING = ".fetching"
_CHANGED = 412
"""HTTP status where an object is not the one that was asked for."""
_GONE = ("PreconditionFailed", "NoSuchKey")
"""Codes of S3 where it is not, or has gone since it was listed."""
MOST_NAME_BYTES = 150
"""Of a file that an object is fetched to, whose draft has a longer name; a key has 1024 at most."""


@dataclass(frozen=True, slots=True)
class Object:
    """An object under the prefix."""

    key: str
    place: PurePosixPath
    """Below the prefix."""
    etag: str
    size: int


class Bucket:
    """Objects under a prefix.

    Args:
        client: Reads them.
        name: Of the bucket.
        prefix: Empty, or with `/` at its end.
    """

    def __init__(self, client: Minio, name: str, prefix: str) -> None:
        self._client = client
        self._name = name
        self._prefix = prefix

    @classmethod
    def opened(cls, url: str, endpoint: str) -> Bucket:
        """Open `s3://BUCKET/PREFIX`, by the credentials of the environment.

        Raises:
            CliError: The URL or the endpoint is none, credentials are missing, or the extra is.
        """
        parts, server = urlsplit(url), urlsplit(endpoint)
        if parts.scheme != "s3" or not parts.netloc:
            raise CliError(f"{url}: is not like s3://BUCKET/PREFIX")
        if server.scheme not in ("http", "https") or not server.netloc:
            raise CliError(f"{endpoint}: --s3-endpoint must be like https://s3.example.org")
        key, secret = (os.environ.get(name, "") for name in KEY_VARIABLES)
        if not (key and secret):
            raise CliError(
                f"{' and '.join(KEY_VARIABLES)} must be set, to read {url}",
                advice="with a key that may list and read the bucket, and no more",
            )
        try:
            from minio import Minio  # noqa: PLC0415 - of an extra
        except ImportError as error:
            raise CliError(
                "reading a bucket needs a part that is not installed",
                exit_code=ExitCode.USAGE,
                advice=how_to_install("s3"),
            ) from error
        client = Minio(
            server.netloc,
            access_key=key,
            secret_key=secret,
            session_token=os.environ.get(SESSION_VARIABLE) or None,
            secure=server.scheme == "https",
        )
        prefix = parts.path.strip("/")
        return cls(client, parts.netloc, f"{prefix}/" if prefix else "")

    def objects(self) -> list[Object]:
        """Return the objects, in the order of their keys; side-cars are not among them.

        Raises:
            CliError: The store does not answer, or refuses.
        """
        with _translated(self._name):
            listed = list(
                self._client.list_objects(self._name, prefix=self._prefix, recursive=True)
            )
        found = [
            Object(
                one.object_name,
                _place(one.object_name.removeprefix(self._prefix)),
                one.etag or "",
                one.size or 0,
            )
            for one in listed
            if one.object_name and one.size and not one.object_name.endswith(SIDE_CAR_SUFFIX)
        ]
        return sorted(found, key=lambda one: one.key)

    def fetch(self, one: Object, path: Path) -> None:
        """Write an object to a file, if it is still the one that was listed, of that size.

        Raises:
            ChangedError: It is another one now, or gone.
            CliError: The store does not answer, or refuses.
        """
        same: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{one.etag}"'}
        with _translated(self._name):
            self._client.fget_object(self._name, one.key, str(path), request_headers=same)

    def side_car(self, one: Object) -> bytes | None:
        """Return what lies beside an object, its beginning if it is too long; None for nothing.

        Raises:
            CliError: The store does not answer, or refuses.
        """
        from minio.error import S3Error  # noqa: PLC0415 - of an extra

        key = f"{one.key}{SIDE_CAR_SUFFIX}"
        with _translated(self._name):
            try:
                answer = self._client.get_object(self._name, key, length=MOST_SIDE_CAR_BYTES)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                if error.code == "InvalidRange":  # there is nothing in it
                    return b""
                raise
            try:
                return answer.read()
            finally:
                answer.close()
                answer.release_conn()


@dataclass(frozen=True, slots=True)
class Record:
    """What was taken in or refused of a bucket, which itself stays as it is.

    Args:
        folder: Has the record, and the object that is being taken in.
    """

    folder: Path

    def read(self) -> dict[str, str]:
        """Return the etag of each object that is dealt with, by its key.

        Raises:
            CliError: The record is damaged.
        """
        path = self.folder / RECORD
        try:
            found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise CliError(
                f"{path} is damaged",
                advice="remove it: what was taken in already is recognised by its content",
            ) from error
        return found

    def write(self, dealt_with: dict[str, str]) -> None:
        """Keep what is dealt with, whole or not at all."""
        write_private(self.folder / RECORD, json.dumps(dealt_with, indent=1) + "\n")

    def room(self, name: str) -> Path:
        """Return where an object is fetched to; what was left there is removed."""
        self.clear()
        written = os.fsencode(name)
        if len(written) > MOST_NAME_BYTES:
            digest = hashlib.sha256(written).hexdigest()[:8]
            name = f"{digest}-{os.fsdecode(written[9 - MOST_NAME_BYTES :])}"
        return make_private_folder(self.folder / FETCHING) / name

    def clear(self) -> None:
        """Remove what was fetched: recordings, which nothing else would remove here."""
        for path in (self.folder / FETCHING).glob("*"):
            path.unlink()


def _place(below_prefix: str) -> PurePosixPath:
    """Return the place of a key, which whoever wrote the object chose: nothing in it leads up."""
    parts = [one for one in below_prefix.split("/") if one not in ("", ".", "..")]
    return PurePosixPath(*parts)


@contextmanager
def _translated(bucket: str) -> Iterator[None]:
    from minio.error import MinioException  # noqa: PLC0415 - of an extra
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - as above

    try:
        yield
    except (MinioException, HTTPError, ValueError) as error:
        code: Any = getattr(error, "code", None)
        if code in _GONE or getattr(error, "status_code", 0) == _CHANGED:
            raise ChangedError from error
        refused = code in ("AccessDenied", "NoSuchBucket", "InvalidAccessKeyId")
        raise CliError(
            f"the bucket {bucket} cannot be read: {code or type(error).__name__}",
            exit_code=ExitCode.PRECONDITION if refused else ExitCode.UNAVAILABLE,
            advice="check the URL, --s3-endpoint and the key" if refused else "",
        ) from error
