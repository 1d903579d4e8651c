"""Recordings under a prefix of a bucket, read from a real store."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from minio import Minio

from engines import S3Account
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.intake.bucket import Bucket, Record
from homeward.cli.intake.changes import ChangedError


@pytest.fixture
def bucket(s3_account: S3Account, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with recordings in it; the environment has the key to it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_account.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_account.secret_key)
    client = Minio(
        s3_account.endpoint.removeprefix("http://"),
        access_key=s3_account.access_key,
        secret_key=s3_account.secret_key,
        secure=False,
    )
    name = f"exports-{uuid4()}"
    client.make_bucket(name)
    for key, content in {
        "cctv/hall/b.mp4": b"another recording",
        "cctv/gate/a.mp4": b"a recording",
        "cctv/gate/a.mp4.json": b'{"startTime": "2026-06-20T10:00:00Z"}',
        "other/c.mp4": b"somebody else's",
    }.items():
        client.put_object(name, key, io.BytesIO(content), len(content))
    return name


def test_recordings_are_read_with_what_lies_beside_them(
    s3_account: S3Account, bucket: str, tmp_path: Path
) -> None:
    opened = Bucket.opened(f"s3://{bucket}/cctv", s3_account.endpoint)
    found = opened.objects()
    record = Record(tmp_path)
    path = record.room("a.mp4")

    opened.fetch(found[0], path)

    assert [str(one.place) for one in found] == ["gate/a.mp4", "hall/b.mp4"]
    assert path.read_bytes() == b"a recording"
    said = b'{"startTime": "2026-06-20T10:00:00Z"}'
    assert [opened.side_car(one) for one in found] == [said, None]
    assert list(record.room("b.mp4").parent.iterdir()) == []


def test_an_object_that_another_took_the_place_of_is_not_read(
    s3_account: S3Account, bucket: str, tmp_path: Path
) -> None:
    opened = Bucket.opened(f"s3://{bucket}/cctv", s3_account.endpoint)
    listed, *_ = opened.objects()
    opened._client.put_object(bucket, listed.key, io.BytesIO(b"a larger recording"), 18)

    with pytest.raises(ChangedError):
        opened.fetch(listed, tmp_path / "a.mp4")

    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_gone_when_it_is_fetched_keeps_no_other_back(
    s3_account: S3Account, bucket: str, tmp_path: Path
) -> None:
    opened = Bucket.opened(f"s3://{bucket}/cctv", s3_account.endpoint)
    listed, *_ = opened.objects()
    opened._client.remove_object(bucket, listed.key)

    with pytest.raises(ChangedError):  # which puts it off; the next list has it no more
        opened.fetch(listed, tmp_path / "a.mp4")

    assert list(tmp_path.iterdir()) == []


def test_nothing_in_a_key_leads_out_of_the_folder(
    s3_account: S3Account, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    opened = Bucket.opened(f"s3://{bucket}/cctv", s3_account.endpoint)
    keys = ["cctv/../../up.mp4", "cctv//etc/passwd", "cctv/./gate/a.mp4"]
    listed = [SimpleNamespace(object_name=key, etag="e", size=1) for key in keys]
    monkeypatch.setattr(Minio, "list_objects", lambda *_, **__: listed)

    places = [str(one.place) for one in opened.objects()]

    assert sorted(places) == ["etc/passwd", "gate/a.mp4", "up.mp4"]


def test_an_object_with_nothing_in_it_is_read(s3_account: S3Account, bucket: str) -> None:
    opened = Bucket.opened(f"s3://{bucket}/cctv", s3_account.endpoint)
    client = opened._client
    client.put_object(bucket, "cctv/hall/b.mp4.json", io.BytesIO(b""), 0)

    assert opened.side_car(opened.objects()[1]) == b""


def test_a_long_key_has_a_file_and_what_was_fetched_goes(tmp_path: Path) -> None:
    record = Record(tmp_path)
    path = record.room("x" * 250 + ".mp4")
    path.with_name(f"{path.name}.{'0' * 64}.part.minio").write_bytes(b"a recording")
    record.clear()

    assert path.name.endswith("x.mp4")
    assert list(path.parent.iterdir()) == []


def test_a_bucket_that_is_not_there_is_told(s3_account: S3Account, bucket: str) -> None:  # noqa: ARG001 - sets the key
    with pytest.raises(CliError) as refused:
        Bucket.opened("s3://homeward-no-such-bucket", s3_account.endpoint).objects()

    assert refused.value.exit_code is ExitCode.PRECONDITION


def test_what_was_dealt_with_is_kept(tmp_path: Path) -> None:
    record = Record(tmp_path)

    assert record.read() == {}
    record.write({"cctv/gate/a.mp4": "etag"})
    assert Record(tmp_path).read() == {"cctv/gate/a.mp4": "etag"}
