"""Which recordings around a sighting were not searched yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import camera_pb2, footage_pb2, scan_pb2
from homeward.api.matching.v1 import sighting_pb2, subject_pb2
from homeward.cli.nearby import Reach, counts_for, distance_metres, unsearched

TEN = datetime(2026, 11, 20, 10, tzinfo=UTC)
WALK = Reach(timedelta(hours=1), 6)
LIN = "3f2a91c0-2d7e-4f10-a3a4-6f3f6f1f7c22"


def stamp(minutes: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(TEN + timedelta(minutes=minutes))
    return made


def span(begin: float, end: float) -> TimeInterval:
    return TimeInterval(start_time=stamp(begin), end_time=stamp(end))


def camera(name: str, km_north: float | None = None, *, ahead: int = 0) -> camera_pb2.Camera:
    made = camera_pb2.Camera(camera_id=name, clock_offset=Duration(seconds=ahead))
    if km_north is not None:
        made.latitude, made.longitude = 51.5 + km_north / 111.195, -0.1
    return made


CAMERAS = {
    one.camera_id: one
    for one in (
        camera("gate", 0),
        camera("bridge", 3),
        camera("far", 7),
        camera("fast", 3, ahead=600),
        camera("somewhere"),
    )
}
SEEN = sighting_pb2.Sighting(subject_id=LIN, camera_id="gate", interval=span(0, 1))


def footage(camera_id: str, begin: float, end: float) -> footage_pb2.Footage:
    return footage_pb2.Footage(
        footage_id=f"{camera_id}/{begin}",
        camera_id=camera_id,
        start_time=stamp(begin),
        end_time=stamp(end),
    )


def scan(
    *recordings: footage_pb2.Footage,
    gaps: tuple[tuple[str, float, float], ...] = (),
    window: TimeInterval | None = None,
    began: float | None = None,
) -> scan_pb2.Scan:
    return scan_pb2.Scan(
        scope=scan_pb2.ScanScope(interval=window),
        coverage=scan_pb2.ScanCoverage(
            footage_efforts=[
                scan_pb2.FootageEffort(
                    footage_id=one.footage_id,
                    true_start_time=None if began is None else stamp(began),
                )
                for one in recordings
            ],
            gaps=[
                scan_pb2.CoverageGap(footage_id=name, interval=span(begin, end))
                for name, begin, end in gaps
            ],
        ),
    )


def found(
    *recordings: footage_pb2.Footage, scans: tuple[scan_pb2.Scan, ...] = ()
) -> list[tuple[str, int, int]]:
    """Return cameras, and from when to when in minutes."""

    def minutes(instant: datetime) -> int:
        return round((instant - TEN) / timedelta(minutes=1))

    return [
        (one.footage.camera_id, minutes(one.start), minutes(one.end))
        for one in unsearched(SEEN, WALK, CAMERAS, recordings, scans)
    ]


def test_distances_are_those_of_the_earth() -> None:
    london = camera_pb2.Camera(camera_id="a", latitude=51.5007, longitude=-0.1246)
    paris = camera_pb2.Camera(camera_id="b", latitude=48.8584, longitude=2.2945)

    metres = distance_metres(london, paris)

    assert metres is not None
    assert metres == pytest.approx(340_560, rel=0.002)  # Westminster Bridge to the Eiffel Tower
    assert distance_metres(london, camera("somewhere")) is None


@pytest.mark.parametrize(
    ("recording", "expected"),
    [
        (footage("gate", -600, 600), [("gate", -60, 61)]),
        (footage("bridge", 0, 25), []),  # three kilometres take half an hour
        (footage("bridge", 0, 40), [("bridge", 31, 40)]),
        (footage("bridge", -600, -45), [("bridge", -60, -45)]),
        (footage("bridge", -600, 600), [("bridge", -60, 61)]),
        (footage("fast", 41, 50), [("fast", 31, 40)]),  # its clock is ahead
        (footage("far", -600, 600), []),  # seven kilometres take longer than an hour
        (footage("somewhere", 0, 600), []),
        (footage("removed", 0, 600), []),
    ],
)
def test_what_is_in_reach_is_found(
    recording: footage_pb2.Footage, expected: list[tuple[str, int, int]]
) -> None:
    assert found(recording) == expected


def test_the_nearest_comes_first() -> None:
    assert [one[0] for one in found(footage("bridge", 0, 60), footage("gate", 0, 60))] == [
        "gate",
        "bridge",
    ]


BRIDGE = footage("bridge", 31, 51)


@pytest.mark.parametrize(
    ("done", "left"),
    [
        (scan(BRIDGE), 0),
        (scan(BRIDGE, window=span(30, 60)), 0),
        (scan(BRIDGE, window=span(35, 60)), 1),
        (scan(BRIDGE, window=span(30, 45)), 1),
        (scan(BRIDGE, gaps=((BRIDGE.footage_id, 40, 41),)), 1),
        (scan(BRIDGE, gaps=((BRIDGE.footage_id, 51, 52),)), 0),
        (scan(BRIDGE, gaps=(("another", 40, 41),)), 0),
        (scan(footage("gate", 0, 60)), 1),
        (scan(), 1),
    ],
)
def test_what_a_scan_has_searched_without_a_gap_is_left_out(done: scan_pb2.Scan, left: int) -> None:
    assert len(found(BRIDGE, scans=(done,))) == left


@pytest.mark.parametrize(
    ("done", "left"),
    [
        (scan(BRIDGE, window=span(30, 60), began=31), 0),
        (scan(BRIDGE, window=span(30, 60), began=41), 1),  # its last ten minutes were not asked for
        (scan(BRIDGE, window=span(30, 61), began=41), 0),
        (scan(BRIDGE, gaps=((BRIDGE.footage_id, 60, 61),), began=41), 1),
        (scan(BRIDGE, gaps=((BRIDGE.footage_id, 40, 41),), began=41), 0),
    ],
)
def test_a_scan_by_another_clock_counts_for_the_pictures_that_it_searched(
    done: scan_pb2.Scan, left: int
) -> None:
    assert len(found(BRIDGE, scans=(done,))) == left


ENROLLED = subject_pb2.Subject(
    subject_id=LIN, reference_photos=[subject_pb2.ReferencePhoto(create_time=stamp(0))]
)


@pytest.mark.parametrize(
    ("subjects", "created", "ended", "counts"),
    [
        ([LIN], -5, True, True),
        (["somebody else"], 5, True, False),
        ([], 5, True, True),
        ([], -5, True, False),  # before she was enrolled
        ([LIN], 5, False, False),
    ],
)
def test_scans_count_that_looked_for_the_subject(
    subjects: list[str], created: float, *, ended: bool, counts: bool
) -> None:
    one = scan_pb2.Scan(
        scope=scan_pb2.ScanScope(subject_ids=subjects),
        create_time=stamp(created),
        end_time=stamp(created + 1) if ended else None,
    )

    assert counts_for(one, ENROLLED) is counts


@pytest.mark.parametrize(
    "state",
    [scan_pb2.ScanAuthorisation.STATE_REFUSED, scan_pb2.ScanAuthorisation.STATE_LAPSED],
)
def test_a_scan_of_which_all_was_erased_has_searched_nothing(
    state: scan_pb2.ScanAuthorisation.State.ValueType,
) -> None:
    one = scan_pb2.Scan(
        scope=scan_pb2.ScanScope(subject_ids=[LIN]),
        create_time=stamp(5),
        end_time=stamp(6),
        authorisation=scan_pb2.ScanAuthorisation(state=state),
    )

    assert not counts_for(one, ENROLLED)
