from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from homeward.ingestion.footage.layout import FootageLayout, footage_in, is_footage_id
from homeward.ingestion.footage.manifests import decode_manifest, encode_manifest

ID = "cam-1-20261120t100000000000z-0123456789abcdef"
RECORDED = datetime(2026, 11, 20, 10, tzinfo=UTC)


def test_a_footage_id_is_made_of_camera_start_and_content(make: Any) -> None:
    header = make.header(b"x", camera_id="cam-9", start_time=RECORDED + timedelta(microseconds=7))

    assert header.footage_id == "cam-9-20261120t100000000007z-2d711642b726b044"


def test_a_footage_id_does_not_depend_on_the_zone_that_its_start_is_written_in(make: Any) -> None:
    elsewhere = RECORDED.astimezone(timezone(timedelta(hours=5)))

    assert make.header(start_time=elsewhere).footage_id == make.header().footage_id


def test_a_recordings_folder_is_its_camera_and_day() -> None:
    assert FootageLayout(ID).folder == f"footage/cam-1/2026/11/20/{ID}/"


def test_the_id_of_every_recording_has_the_form_of_one(make: Any) -> None:
    assert is_footage_id(make.header().footage_id)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "cam-1",
        ID + "/",
        ID + "\n",
        ID.upper(),
        f"../{ID}",
        f"a/{ID}",
        f"-{ID}",
        ID[:-1],
        ID + "0",
        ID.replace("z-", "-"),
        "x" * 64 + ID[5:],
    ],
)
def test_what_is_no_footage_id_has_no_folder(bad: str) -> None:
    assert not is_footage_id(bad)
    with pytest.raises(ValueError, match="is no footage id"):
        FootageLayout(bad)


@pytest.mark.parametrize(
    ("key", "footage_id"),
    [
        (FootageLayout(ID).file, ID),
        (FootageLayout(ID).manifest, ID),
        (FootageLayout(ID).presence("v-0-1"), ID),
        (FootageLayout(ID).tails("t") + "3", ID),
        (FootageLayout(ID).folder.rstrip("/"), ""),
        (f"footage/cam-2/2026/11/20/{ID}/original", ""),
        (f"footage/cam-1/2026/11/21/{ID}/original", ""),
        (f"elsewhere/cam-1/2026/11/20/{ID}/original", ""),
        ("by-sha256/0", ""),
    ],
)
def test_an_object_belongs_to_the_recording_whose_folder_it_is_in(
    key: str, footage_id: str
) -> None:
    assert footage_in(key) == footage_id


def test_a_manifest_that_an_earlier_version_wrote_is_read() -> None:
    """What its media was found to be is under `probe`."""
    stored = b"""{"footage_id":"cam-1-20261120t100000000000z-0123456789abcdef","header":{
        "camera_id":"cam-1","file_name":"a.mp4","start_time":"2026-11-20T10:00:00Z",
        "size_bytes":9,"sha256":"0123456789abcdef"},"probe":{"video":{"codec":"h264",
        "width":1920,"height":1080,"average_frame_rate":25.0,"frame_count":1500,
        "key_frame_count":30},"duration":"PT60S"},"receive_time":"2026-11-21T09:00:00Z",
        "delete_time":"2026-12-22T09:00:00Z"}"""

    footage = decode_manifest(stored)

    assert footage.media.video.codec == "h264"
    assert footage.end_time == RECORDED + timedelta(minutes=1)


def test_what_is_written_can_be_read_by_an_earlier_version(make: Any) -> None:
    footage = make.footage()

    stored = encode_manifest(footage)

    assert json.loads(stored)["probe"]["video"]["codec"] == footage.media.video.codec
    assert decode_manifest(stored) == footage
