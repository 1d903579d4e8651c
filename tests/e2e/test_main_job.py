"""From a photograph and a recording to a candidate sighting, through the command line."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import nats
import numpy as np
import pytest
from nats.js.errors import NotFoundError
from PIL import Image

from homeward.embedded.demo_counts import count_engines, count_vectors, own_nats
from homeward.ingestion.scan.shots import MAX_SHOTS
from homeward.matching.adapters.engine import connect

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from .conftest import LiveStack, Street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

START = "2026-03-04T10:00:00Z"
CROSSING = {0: (0.0, 7.0), 2: (12.0, 19.0), 4: (24.0, 31.0)}
"""Between which seconds of the street each of these people passes by, with a second to spare."""


@pytest.fixture(scope="module")
def searched(stack: LiveStack, street: Street) -> dict[str, Any]:
    """The street searched for the third of its people."""
    enrolled = stack.run(
        "subject", "add", "--case", "E2E-1", "--label", "Third", str(street.portraits[2]),
        "--output", "json",
    )  # fmt: skip
    stack.run("camera", "add", "street", "--place", "High Street")
    stack.run("footage", "add", str(street.footage), "--camera", "street", "--start", START)
    found = stack.run("search", "--output", "json").json
    return {"subject": enrolled.json, "search": found}


def offset_of(sighting: dict[str, Any]) -> float:
    return float(sighting["bestShotOffset"].removesuffix("s"))


def test_candidate_and_sighting_say_that_nobody_has_approved_their_policy(
    stack: LiveStack, searched: dict[str, Any]
) -> None:
    (sighting,) = stack.run("sighting", "list", "--output", "json").json["sightings"]
    (candidate,) = searched["search"]["candidates"]

    for told in (candidate, sighting):
        assert told["policyId"].startswith("yunet-sface/")
        assert "approved" not in told["figures"]  # JSON leaves what is false out
        assert told["figures"]["expectedFpir"]["value"] > 0


def test_search_finds_the_enrolled_person_where_they_pass_and_nobody_else(
    stack: LiveStack, searched: dict[str, Any]
) -> None:
    sightings = stack.run("sighting", "list", "--output", "json").json["sightings"]
    assert searched
    assert len(sightings) == 1
    assert CROSSING[2][0] < offset_of(sightings[0]) < CROSSING[2][1]
    assert sightings[0]["score"] > sightings[0]["threshold"]


def test_an_appearance_across_segments_is_one_sighting(
    stack: LiveStack, searched: dict[str, Any]
) -> None:
    sightings = stack.run("sighting", "list", "--output", "json").json["sightings"]
    assert searched
    assert len({sighting["sightingId"] for sighting in sightings}) == len(sightings) == 1


def test_a_second_search_adds_no_sighting(stack: LiveStack, searched: dict[str, Any]) -> None:
    assert searched
    before = stack.run("sighting", "list", "--output", "json").json
    stack.run("search")
    assert stack.run("sighting", "list", "--output", "json").json == before


def test_coverage_is_told_with_the_candidates(stack: LiveStack, searched: dict[str, Any]) -> None:
    assert searched
    told = stack.run("search")
    assert "Coverage: 37.0s searched of 37.0s" in told.out
    assert "not an identification" in told.out


def test_show_saves_the_still_beside_the_reference_photograph(
    stack: LiveStack, searched: dict[str, Any], tmp_path: Path
) -> None:
    assert searched
    sighting = stack.run("sighting", "list", "--output", "json").json["sightings"][0]
    picture = tmp_path / "beside.png"
    stack.run("sighting", "show", sighting["sightingId"], "--save", str(picture))
    with Image.open(picture) as image:
        assert min(image.size) > 400


def test_the_same_footage_again_is_the_same_resource_and_said_so(
    stack: LiveStack, street: Street, searched: dict[str, Any]
) -> None:
    assert searched
    again = stack.run("footage", "add", str(street.footage), "--camera", "street", "--start", START)
    assert "held" in again.out
    assert len(stack.run("footage", "list", "--output", "json").json["footage"]) == 1


def test_the_same_file_under_another_start_is_refused(
    stack: LiveStack, street: Street, searched: dict[str, Any]
) -> None:
    assert searched
    refused = stack.run(
        "footage", "add", str(street.footage), "--camera", "street",
        "--start", "2026-03-05T10:00:00Z", code=6,
    )  # fmt: skip
    assert "2026-03-04 10:00:00 UTC" in refused.err


def test_what_was_found_in_evaluation_mode_is_given_out_only_marked(
    stack: LiveStack, street: Street, searched: dict[str, Any], tmp_path: Path
) -> None:
    assert searched
    sighting = stack.run("sighting", "list", "--output", "json").json["sightings"][0]
    name = sighting["sightingId"]
    stack.run("sighting", "review", name, "--confirm")

    refused = stack.run("sighting", "export", name, "--save", str(tmp_path), code=7)
    stack.run("sighting", "export", name, "--save", str(tmp_path), "--unapproved")

    assert "nobody had approved" in refused.err
    assert {path.name for path in tmp_path.iterdir()} == {
        f"EVALUATION-sighting-{name}.jpg",
        f"EVALUATION-sighting-{name}.json",
    }
    facts = json.loads((tmp_path / f"EVALUATION-sighting-{name}.json").read_text())
    digest = hashlib.sha256(street.footage.read_bytes()).hexdigest()
    assert facts["recording"]["sha256"] == digest
    assert facts["camera"]["clockOffset"] == "0s"
    assert facts["faceHeightPx"] > 20
    assert facts["policy"]["state"].startswith("NOT APPROVED")


def test_a_clip_shows_whom_it_is_of_and_a_package_can_be_verified(
    stack: LiveStack, searched: dict[str, Any], tmp_path: Path
) -> None:
    assert searched
    name = stack.run("sighting", "list", "--output", "json").json["sightings"][0]["sightingId"]
    stack.run("sighting", "review", name, "--confirm")
    clip, package = str(tmp_path / "clip.mp4"), str(tmp_path / "package.zip")

    told = stack.run(
        "sighting", "clip", name, "-o", clip, "--around-still", "--seconds", "0.4", "--burn-time",
        "--output", "json",
    ).json["clip"]  # fmt: skip
    given = stack.run(
        "sighting", "export", name, "-o", package, "--to", "A force", "--no-clip", "--unapproved",
        "--output", "json",
    ).json  # fmt: skip

    assert told["subject"] == "SUBJECT_SHOWN"
    with av.open(clip) as container:
        pictures = list(container.decode(video=0))
    assert len(pictures) == told["pictureCount"] == told["subjectPictureCount"]
    assert (pictures[0].width, pictures[0].height) == (told["width"], told["height"])
    stack.run("export", "verify", package, "--key", given["verifierKey"])


def test_a_further_token_opens_what_its_roles_and_cases_say(
    stack: LiveStack, searched: dict[str, Any], tmp_path: Path
) -> None:
    ours = stack.issue("anna", "investigator", "--case", "E2E-1")
    of_another = stack.issue("ben", "investigator", "--case", "E2E-2")
    auditor = stack.issue("cleo", "auditor")

    assert searched
    shown = [
        stack.run("sighting", "list", "--output", "json", token=token).json.get("sightings", [])
        for token in (ours, of_another)
    ]
    assert [len(sightings) for sightings in shown] == [1, 0]
    refused = [
        stack.run("sighting", "list", token=auditor, code=7).err,
        stack.run("subject", "list", token=tmp_path / "nobody", code=4).err,
    ]
    assert "reason: ROLE_MISSING" in refused[0]
    assert "No such file" in refused[1]
    assert stack.run("retention", token=auditor, code=None).code in {0, 3}


def not_a_video(path: Path) -> None:
    path.write_bytes(b"this is a letter, not a video\n" * 100)


def picture_renamed(path: Path) -> None:
    Image.new("RGB", (320, 240), "grey").save(path, format="JPEG")


def sound_alone(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def cut_off(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for value in range(50):
            image = np.full((240, 320, 3), value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (not_a_video, "not a video"),
        (picture_renamed, "still picture"),
        (sound_alone, "no picture track"),
        (cut_off, "cut off"),
        (empty, "empty"),
    ],
)
def test_a_file_that_cannot_be_searched_is_refused_with_what_is_wrong(
    stack: LiveStack, tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    make(tmp_path / "bad.mp4")
    stack.run("camera", "add", f"bad-{make.__name__.replace('_', '-')}")
    refused = stack.run(
        "footage", "add", str(tmp_path / "bad.mp4"), "--start", START,
        "--camera", f"bad-{make.__name__.replace('_', '-')}", code=4,
    )  # fmt: skip
    assert says in refused.err


@pytest.mark.usefixtures("searched")  # there is a camera
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--camera", "nowhere", "--start", START], 5, "no camera is named nowhere"),
        (["--camera", "street", "--start", "2026-03-04T10:00:00"], 2, "zone"),
        (["--camera", "street", "--start", "2999-01-01T00:00:00Z"], 4, "future"),
    ],
)
def test_footage_with_a_wrong_description_is_refused(
    stack: LiveStack, street: Street, arguments: list[str], code: int, says: str
) -> None:
    refused = stack.run("footage", "add", str(street.footage), *arguments, code=code)
    assert says in refused.err


def test_a_photograph_without_a_face_is_refused_and_leaves_no_subject(
    stack: LiveStack, tmp_path: Path
) -> None:
    wall = tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.full((300, 300, 3), 128, np.uint8))
    refused = stack.run("subject", "add", "--case", "WALL", str(wall), code=4)
    assert "no face" in refused.out + refused.err
    cases = [
        subject["caseReference"]
        for subject in stack.run("subject", "list", "--output", "json").json["subjects"]
    ]
    assert "WALL" not in cases


def test_photographs_of_several_people_and_a_person_enrolled_twice_are_told(
    stack: LiveStack, street: Street
) -> None:
    add = ("subject", "add", "--output", "json", "--case")
    several = stack.run(*add, "SEVERAL", *map(str, (street.portraits[0], street.portraits[1])))
    twice = stack.run(*add, "several", str(street.portraits[0]))
    for done in (several, twice):
        stack.run("subject", "erase", done.json["subject"]["subjectId"], "--yes")
    first, second = several.json["photos"]
    assert "warnings" not in first
    (unlike,) = second["warnings"]
    assert "does not look much like the subject's other photographs" in unlike
    assert "case several: subject" in twice.err
    (same,) = twice.json["photos"][0]["warnings"]
    assert "the same file is a photograph of subject" in same


def test_stores_hold_the_subject_and_their_sightings_and_nothing_of_anybody_else(
    new_stack: Callable[[str], LiveStack], street: Street
) -> None:
    stack = new_stack("counted")
    stack.run("subject", "add", "--case", "COUNT", str(street.portraits[4]))
    stack.run("camera", "add", "street")
    stack.run("footage", "add", str(street.footage), "--camera", "street", "--start", START)
    scan = stack.run("search", "--output", "json")
    counts = count_engines(stack.data, stack.environment)
    code = stack.stop()
    vectors = count_vectors(stack.data, stack.environment, collections=counts.collections)
    assert scan.code == code == 0
    assert vectors == {"photo": 1, "subject": 1, "appearance": 1}
    assert (counts.photographs, counts.unexpected) == (1, 0)
    assert 1 < counts.stills <= MAX_SHOTS
    assert (counts.subjects, counts.spans, counts.messages) == (1, 1, 0)


def test_a_wrong_rejection_is_listed_and_its_span_can_be_searched_again(
    new_stack: Callable[[str], LiveStack], street: Street
) -> None:
    stack = new_stack("rejected")
    subject = stack.run(
        "subject", "add", "--case", "REJECTED", str(street.portraits[2]), "--output", "json"
    ).json["subject"]["subjectId"]
    stack.run("camera", "add", "street")
    stack.run("footage", "add", str(street.footage), "--camera", "street", "--start", START)
    (found,) = stack.run("search", "--output", "json").json["candidates"]
    token = stack.issue("R. V.", "reviewer")
    review = ("sighting", "review", found["sightingId"], "--reject", "--yes")
    stack.run(*review, token=token)
    repeated = stack.run(*review, token=token)  # as whoever lost the first answer does
    (rejection,) = stack.run("sighting", "list", "--rejected", "--output", "json").json[
        "rejections"
    ]
    counts = count_engines(stack.data, stack.environment)

    plain = stack.run("search", "--output", "json").json
    scope = ("--subject", subject, "--footage", rejection["footageId"])
    again = stack.run("search", "--include-rejected", *scope, "--output", "json").json

    listed = stack.run("sighting", "list", "--output", "json").json["sightings"]
    stack.stop()
    assert repeated.code == 0
    assert rejection["reviewer"] == "R. V."
    assert rejection["interval"] == found["interval"]
    assert (counts.stills, counts.spans) == (0, 1)
    assert (plain["candidates"], plain["scan"]["progress"]["droppedMatchCount"]) == ([], "1")
    assert [one["sightingId"] for one in again["candidates"]] == [found["sightingId"]]
    assert [one["state"] for one in listed] == ["STATE_UNREVIEWED"]
    shutil.rmtree(stack.data)


def test_closing_a_subject_takes_their_sightings_along(
    new_stack: Callable[[str], LiveStack], street: Street
) -> None:
    stack = new_stack("closed")
    added = stack.run(
        "subject", "add", "--case", "CLOSE", str(street.portraits[0]), "--output", "json"
    ).json
    stack.run("camera", "add", "street")
    stack.run("footage", "add", str(street.footage), "--camera", "street", "--start", START)
    stack.run("search")
    subject = added["subject"]["subjectId"]
    before = count_engines(stack.data, stack.environment)
    stack.run("subject", "close", subject, "--yes")
    after = count_engines(stack.data, stack.environment)
    stack.stop()
    assert before.photographs == 1
    assert before.stills > 1
    assert (after.photographs, after.stills, after.spans) == (0, 0, 0)
    vectors = count_vectors(stack.data, stack.environment, collections=after.collections)
    assert not any(vectors.values())
    shutil.rmtree(stack.data)


async def _messages(url: str) -> dict[str, bytes]:
    """Return the subjects and data of all that NATS holds, what is superseded included."""
    client = await nats.connect(url)
    held: dict[str, bytes] = {}
    try:
        jetstream = client.jetstream()
        for stream in await jetstream.streams_info():
            following = stream.state.first_seq
            while following <= stream.state.last_seq:
                try:
                    message = await jetstream.get_msg(
                        stream.config.name or "", seq=following, subject=">", next=True
                    )
                except NotFoundError:
                    break
                held[f"{stream.config.name} {message.seq} {message.subject}"] = message.data or b""
                following = int(message.seq or 0) + 1
    finally:
        await client.close()
    return held


def _dump(stack: LiveStack) -> dict[str, bytes]:
    """Return all that NATS and the object store hold, but the recordings themselves."""
    held = asyncio.run(_messages(own_nats(stack.data)))
    client = stack.object_store()
    for bucket in client.list_buckets():
        for item in client.list_objects(bucket.name, recursive=True):
            key = item.object_name or ""
            if not key.endswith(("/original", ".npz")):
                held[f"{bucket.name}/{key}"] = client.get_object(bucket.name, key).data
    return held


def _holding(dump: dict[str, bytes], *words: str) -> set[str]:
    """Return where one of some words is, in a name or in what is held under it."""
    return {
        name
        for name, data in dump.items()
        for word in words
        if word in name or word.encode() in data
    }


def test_after_a_close_no_store_says_where_or_when_somebody_was(
    new_stack: Callable[[str], LiveStack], street: Street
) -> None:
    stack = new_stack("nowhere")
    subject = stack.run(
        "subject", "add", "--case", "NOWHERE", str(street.portraits[2]), "--output", "json"
    ).json["subject"]["subjectId"]
    stack.run("camera", "add", "street")
    stack.run("footage", "add", str(street.footage), "--camera", "street", "--start", START)
    found = stack.run("search", "--output", "json").json
    (candidate,) = found["candidates"]
    (sighting,) = stack.run("sighting", "list", "--output", "json").json["sightings"]
    seconds = [sighting["interval"]["startTime"], sighting["interval"]["endTime"]]
    # Without their zone: JSON of the API has `Z`, as records have, and as Qdrant's payload has.
    times = [one.removesuffix("Z") for one in (*seconds, sighting["bestShotTime"])]
    before = _dump(stack)
    stack.run("subject", "close", subject, "--yes")
    after = _dump(stack)
    stack.stop()

    name = candidate["sightingId"]
    in_scans = {one.split()[-1] for one in _holding(before, name) if one.startswith("KV_SCANS")}
    assert in_scans == {f"$KV.SCANS.live.{found['scan']['scanId']}.sighting.{name}"}
    assert _holding(before, subject, *times)  # what is looked for can be found
    assert _holding(after, *times) == set()
    assert {one.split()[0].split("/")[0] for one in _holding(after, subject)} <= {
        "KV_SUBJECTS",  # a closed one: an id and a date
        "KV_ERASURES",  # the certificate
        "AUDIT",  # that something was done with it: never beside a place
        "SIGHTING_FEED",  # that something happened to it: nor there
    }
    told = [data for place, data in after.items() if place.startswith(("AUDIT", "SIGHTING_FEED"))]
    assert [one for one in told if b"subject/" in one or b"sighting/" in one]
    assert not [
        one
        for one in told
        if (b"subject/" in one or b"sighting/" in one)
        and (b"footage/" in one or b"camera/" in one or b"street" in one)
    ]
    path = stack.data / "qdrant"
    payloads = [str(point.payload) for point in _points(connect(url=None, path=path, api_key=None))]
    assert not any(subject in one or name in one for one in payloads)
    shutil.rmtree(stack.data)


def _points(client: QdrantClient) -> list[Any]:
    try:
        return [
            point
            for collection in client.get_collections().collections
            for point in client.scroll(collection.name, limit=1000)[0]
        ]
    finally:
        client.close()
