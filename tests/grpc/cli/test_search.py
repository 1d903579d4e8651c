"""`homeward search`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import status_pb2

from cli_services import Homeward, enrolled
from cli_values import (
    ANNA,
    BEGIN,
    CHILD_MEASURED,
    CHILD_WARNING,
    CHILDREN,
    EXPECTATION,
    FOOTAGE,
    IN_VIEW,
    LOST,
    NOT_APPROVED,
    SCAN,
    SIGHTING,
    SIZES,
    UNAPPROVED,
    effort,
    ended,
    worth,
)
from homeward.api.common.v1.policy_pb2 import PolicyFigures
from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import scan_pb2, scan_service_pb2
from homeward.api.matching.v1 import sighting_pb2
from homeward.cli import follow, patience
from homeward.cli.__main__ import run


def running(done: int) -> Any:
    return scan_service_pb2.WatchScanResponse(
        scan=scan_pb2.Scan(
            scan_id=SCAN,
            state=scan_pb2.Scan.STATE_RUNNING,
            progress=scan_pb2.ScanProgress(
                total_duration=Duration(seconds=600), done_duration=Duration(seconds=done)
            ),
        )
    )


def candidate(
    score: float = 0.612,
    sighting_id: str = SIGHTING,
    figures: PolicyFigures | None = None,
    rival_score: float | None = None,
) -> Any:
    return scan_service_pb2.WatchScanResponse(
        candidate=scan_pb2.ScanCandidate(
            sighting_id=sighting_id,
            subject_id=ANNA,
            camera_id="gate",
            footage_id=FOOTAGE,
            interval=IN_VIEW,
            score=score,
            threshold=0.45,
            policy_id="yunet-sface/1",
            figures=figures,
            rival_score=rival_score,
        )
    )


def test_a_search_tells_candidates_then_coverage(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    homeward.scans.script = [[running(300), candidate(), ended()]]
    window = ("--from", "2026-11-20T10:00:00Z", "--camera", "gate")
    assert run(["search", "--subject", ANNA[:8], *window]) == 0
    scope = homeward.scans.created[0].scope
    assert (list(scope.subject_ids), list(scope.camera_ids)) == ([ANNA], ["gate"])
    assert scope.interval == TimeInterval(start_time=BEGIN)
    told = capsys.readouterr().out
    assert "\tgate\tNorth gate\t" in told
    assert "2026-11-20 10:00:00 UTC" in told
    assert "\t0.612\t0.450\t" in told
    assert "A candidate is a lead for a human reviewer, not an identification." in told
    assert "Coverage: 10m00s searched of 10m00s of footage asked for." in told


def test_what_was_not_searched_is_never_told_as_not_found(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = scan_pb2.CoverageGap(
        footage_id=FOOTAGE,
        interval=IN_VIEW,
        reason=scan_pb2.COVERAGE_GAP_REASON_UNDECODABLE,
        detail="broken after 10 minutes",
    )
    homeward.scans.script = [[ended(searched=120, gaps=[gap], incomparable=3)]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert "No candidates in the 2m00s that were searched." in told
    assert "its pictures do not decode\tbroken after 10 minutes" in told
    assert "too small or too poor to compare with anybody: 3" in told
    assert "not found" not in told


NONE_FOUND = "No candidates in the 10m00s that were searched."


NOT_NOBODY = "That does not mean that nobody who is looked for was there."


def test_no_candidates_are_told_with_how_many_the_policy_misses(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert NONE_FOUND in told
    assert f"{NOT_NOBODY} When policy yunet-sface/1 was measured, about 4.2 %" in told


@pytest.mark.parametrize(("faces", "told"), [(0, 1), (7, 0)])
def test_a_search_that_sees_no_face_at_all_says_so(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], faces: int, told: int
) -> None:
    update = ended()
    update.scan.progress.face_count = faces
    homeward.scans.script = [[update]]
    assert run(["search"]) == 0
    assert capsys.readouterr().out.count("No face was seen in it at all") == told


def test_no_candidates_do_not_mean_nobody_where_no_policy_is_in_force(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[ended()]]
    homeward.matching.refusal = NOT_APPROVED
    assert run(["scan", "watch", SCAN]) == 0
    told = capsys.readouterr().out
    assert f"{NOT_NOBODY}\n" in told


def test_where_nothing_was_searched_no_search_is_told_of(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[ended(searched=0)]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert "Nothing was searched, so that nothing is known of who was there." in told
    assert "No candidates" not in told


@pytest.mark.parametrize(
    ("state", "word"), [("STATE_CONFIRMED", "confirmed"), ("STATE_INCONCLUSIVE", "inconclusive")]
)
def test_a_candidate_that_was_reviewed_is_told_as_that(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], state: str, word: str
) -> None:
    homeward.sightings.sighting.state = sighting_pb2.Sighting.State.Value(state)
    homeward.scans.script = [[candidate(), ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    (line,) = [line for line in told.splitlines() if SIGHTING in line]
    assert word in line.split("\t")
    assert "not held" not in told


def test_a_candidate_whose_sighting_is_gone_is_told_as_not_held(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[candidate(), candidate(0.5, "gone"), ended()]]
    assert run(["scan", "watch", SCAN]) == 0
    told = capsys.readouterr().out
    lines = [line for line in told.splitlines() if "0.450" in line]
    assert ["not held" in line.split("\t") for line in lines] == [False, True]
    assert "not held: the sighting does not exist any more" in told


def test_states_that_cannot_be_read_are_not_told_as_gone(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOMEWARD_MATCHING_TARGET", "localhost:1")
    homeward.scans.script = [[candidate(), ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr()
    assert SIGHTING in told.out
    assert "not held" not in told.out
    assert "what became of the candidates is left out" in told.err


@pytest.mark.parametrize(("subjects", "named"), [(1, 1), (1000, 1000), (1001, 0)])
def test_the_states_of_candidates_in_many_recordings_are_asked_for_in_parts(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch, subjects: int, named: int
) -> None:
    monkeypatch.setattr("homeward.cli.matches.tell_matches", lambda *_: None)
    found = [candidate(sighting_id=f"s-{number}") for number in range(1001)]
    for number, one in enumerate(found):
        one.candidate.footage_id = f"f-{number}"
        one.candidate.subject_id = f"p-{number % subjects}"
    homeward.scans.script = [[*found, ended()]]

    assert run(["search"]) == 0

    asked = [one for one in homeward.sightings.requests if hasattr(one, "leave_out_lost")]
    assert [len(one.footage_ids) for one in asked] == [1000, 1]
    assert len({name for one in asked for name in one.footage_ids}) == 1001
    assert [len(one.subject_ids) for one in asked] == [named, named]
    assert all(one.leave_out_lost for one in asked)


TOO_SMALL = (
    "In 62 % of the appearances the face was too small to compare: 24 px wide needed, median 17 px."
)


@pytest.mark.parametrize("command", [["search"], ["scan", "watch", SCAN], ["scan", "show", SCAN]])
def test_a_search_tells_how_many_faces_were_too_small_and_where_to_look(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    homeward.scans.told = {"incomparable": 33, "sizes": SIZES}
    homeward.scans.script = [[ended(**homeward.scans.told)]]

    assert run(command) == 0

    told = capsys.readouterr().out
    assert "too small or too poor to compare with anybody: 33 of 50." in told
    assert TOO_SMALL in told
    assert "In 4 % it was wide enough, but not clear enough" in told
    assert f"`homeward scan stretches {SCAN}` lists when that was, to watch by eye." in told


def test_a_watch_that_breaks_is_taken_up_without_telling_a_candidate_twice(
    homeward: Homeward, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [
        [running(100), candidate(0.5), LOST],
        [running(100), candidate(0.6), running(600)],
        [ended(), candidate(0.6)],
    ]
    assert run(["scan", "watch", SCAN[:8], "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["score"] for each in document["candidates"]] == [pytest.approx(0.6)]
    assert document["scan"]["state"] == "STATE_SUCCEEDED"
    assert pauses == [1, 1]


def test_a_watch_gives_up_after_a_while_and_says_how_to_go_on(
    homeward: Homeward, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[LOST]] * 10
    assert run(["search"]) == 8
    assert len(pauses) == 9
    assert f"homeward scan watch {SCAN}" in capsys.readouterr().err


def test_candidates_are_told_best_first(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[candidate(0.5, "worse"), candidate(0.7, "better"), ended()]]
    run(["search", "--output", "json"])
    names = [each["sightingId"] for each in json.loads(capsys.readouterr().out)["candidates"]]
    assert names == ["better", "worse"]


def test_candidates_are_told_with_what_their_threshold_is_worth(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    few, many = candidate(0.5, "a", worth(enrolled=11)), candidate(0.6, "b", worth(enrolled=12))
    homeward.scans.script = [[few, many, ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr()
    assert told.out.count(EXPECTATION) == 1
    assert "Policy yunet-sface/1: with 12 people looked for, about 1 in 4200" in told.out
    assert told.err == ""


def test_candidates_of_a_policy_that_nobody_approved_say_so(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[candidate(figures=worth(approved=False)), ended()]]
    assert run(["search"]) == 0
    assert UNAPPROVED.replace("has not", "had not") in capsys.readouterr().out


@pytest.mark.parametrize("words", [("search",), ("scan", "watch", SCAN)])
def test_a_search_that_finds_nothing_of_a_child_says_how_little_that_means(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    enrolled(homeward, child=True)
    homeward.scans.script = [[ended()]]
    assert run(words) == 0
    told = capsys.readouterr()
    assert CHILD_WARNING in told.out
    assert (CHILD_WARNING in told.err) is (words == ("search",))  # before the scan, too


def test_a_search_for_somebody_else_does_not_speak_of_the_child(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    other = enrolled(homeward, ANNA.replace("3", "4"))
    homeward.scans.script = [[ended(subject_ids=[other.subject_id])]]
    assert run(["search", "--subject", other.subject_id]) == 0
    told = capsys.readouterr()
    assert "WARNING" not in told.out + told.err


def test_a_candidate_of_a_child_is_marked_in_its_line(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    homeward.scans.script = [[candidate(figures=worth()), ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    (line,) = [line for line in told.splitlines() if SIGHTING in line]
    assert "NOTE" in told
    assert "child" in line.split("\t")
    assert told.count(CHILD_WARNING) == 1


def test_a_candidate_of_an_earlier_policy_is_told_by_that(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    homeward.matching.policy.policy_id = "yunet-sface/9"
    homeward.matching.policy.figures.CopyFrom(worth(ages=[CHILDREN]))
    homeward.scans.script = [[candidate(figures=worth()), ended()]]
    assert run(["search", "--output", "json"]) == 0
    measured, warned = json.loads(capsys.readouterr().out)["caveats"]
    assert measured == CHILD_MEASURED
    assert warned.startswith(CHILD_WARNING)


def test_a_candidate_that_is_like_somebody_else_too_is_marked(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[candidate(rival_score=0.59), ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert "0.612 ?" in told
    assert "? The score of another enrolled person is close" in told


def test_a_search_warns_at_its_start_of_a_policy_that_nobody_approved(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.policy.figures.CopyFrom(worth(approved=False))
    homeward.scans.script = [[ended()]]
    assert run(["search", "--output", "json"]) == 0
    assert UNAPPROVED in capsys.readouterr().err


def test_a_search_warns_at_its_start_when_the_gallery_has_outgrown_the_policy(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.policy.figures.CopyFrom(worth(enrolled=501))
    homeward.scans.script = [[ended()]]
    assert run(["search"]) == 0
    assert (
        "was measured with 500 people enrolled, and 501 are looked for" in capsys.readouterr().err
    )


def test_a_search_for_some_asks_what_the_policy_is_worth_for_them(homeward: Homeward) -> None:
    homeward.scans.script = [[candidate(), ended()], [candidate(), ended()]]
    run(["search", "--subject", ANNA])
    run(["search"])
    assert homeward.matching.sizes == [1, 0]


def test_candidates_are_told_without_names_when_those_cannot_be_read(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOMEWARD_MATCHING_TARGET", "localhost:1")
    homeward.scans.script = [[candidate(), ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr()
    assert SIGHTING in told.out
    assert "names are left out" in told.err


def test_ctrl_c_leaves_the_scan_running_and_says_how_to_go_on(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: int, __: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(patience, "pause", interrupt)
    homeward.scans.script = [[running(100), LOST]]
    assert run(["search"]) == 130
    told = capsys.readouterr().err
    assert "error" not in told
    assert "The scan goes on: " in told
    assert f"homeward scan watch {SCAN}" in told
    assert f"homeward scan cancel {SCAN}" in told


@pytest.mark.usefixtures("homeward")
def test_ctrl_c_before_the_scan_is_known_says_that_it_may_have_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def __init__(self, _: Any) -> None: ...

        def CreateScan(self, _: Any) -> Any:  # noqa: N802 - gRPC's name
            raise KeyboardInterrupt

    monkeypatch.setattr(follow, "ScanServiceStub", Interrupted)
    assert run(["search"]) == 130
    told = capsys.readouterr().err
    assert "error" not in told
    assert "The search may have begun: `homeward scan list` shows it" in told


def test_a_search_that_found_somebody_says_how_to_judge_it(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[candidate(), ended()]]
    homeward.sightings.held = [sighting_pb2.Sighting(sighting_id=SIGHTING, footage_id=FOOTAGE)]
    assert run(["search"]) == 0
    assert capsys.readouterr().out.endswith(
        "`homeward review` shows each candidate with its pictures, to be confirmed or rejected.\n"
    )


def test_times_the_wrong_way_round_are_refused_by_their_options(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", "--from", "2026-11-21", "--to", "2026-11-20"]) == 2
    assert "--to must be later than --from" in capsys.readouterr().err
    assert homeward.scans.created == []


def test_a_search_says_what_it_waits_for_where_and_since_when(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = running(0)
    waiting.scan.progress.waiting.CopyFrom(
        scan_pb2.ScanWaiting(
            component="embedding",
            address="h:1",
            since_time=BEGIN,
            message="embedding does not answer at h:1",
        )
    )
    homeward.scans.script = [[running(0), waiting, waiting, running(10), ended()]]

    assert run(["search"]) == 0

    told = capsys.readouterr().err
    line = "Waiting since 2026-11-20 10:00:00 UTC: embedding does not answer at h:1\n"
    assert told.count(line) == 1
    assert told.count("The search goes on.") == 1


def test_a_scan_that_failed_fails_the_search(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = scan_pb2.Scan(
        scan_id=SCAN,
        state=scan_pb2.Scan.STATE_FAILED,
        error=status_pb2.Status(code=14, message="embedding does not answer"),
    )
    homeward.scans.script = [[scan_service_pb2.WatchScanResponse(scan=failed)]]
    assert run(["search"]) == 8
    assert "error: embedding does not answer" in capsys.readouterr().err


def test_a_search_tells_what_it_passed_over(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[ended(passed_over=540)]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert "Coverage: 10m00s searched of 10m00s" in told
    assert (
        "Of what was searched, 1m00s were looked at picture by picture."
        " 9m00s were passed over: nothing moved in them, and samples showed nobody." in told
    )


def test_a_search_that_passed_nothing_over_says_nothing_of_it(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = effort(scan_pb2.THOROUGHNESS_CONSTANT_RATE, looked_at=600, passed_over=0)
    homeward.scans.script = [[ended(efforts=[everything])]]
    assert run(["search"]) == 0
    assert "passed over" not in capsys.readouterr().out


def test_a_search_tells_where_a_recording_has_no_pictures(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = scan_pb2.CoverageGap(
        footage_id=FOOTAGE,
        interval=IN_VIEW,
        reason=scan_pb2.COVERAGE_GAP_REASON_NO_PICTURES,
    )
    homeward.scans.script = [[ended(searched=596, gaps=[gap])]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert "Not searched, so that nothing is known of who was there:" in told
    assert "the recording has no pictures there" in told


@pytest.mark.parametrize(("uncertain", "marks"), [(True, 1), (False, 0)])
def test_a_candidate_whose_time_is_uncertain_is_marked(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    *,
    uncertain: bool,
    marks: int,
) -> None:
    found = candidate()
    found.candidate.time_uncertain = uncertain
    homeward.scans.script = [[found, ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert told.count("UTC*") == marks
    assert told.count("* This time is uncertain: the recorder's clock was changed") == marks


def test_a_search_looks_again_where_sightings_were_rejected_if_asked_to(
    homeward: Homeward,
) -> None:
    enrolled(homeward)
    homeward.scans.script = [[running(300), ended()]]
    assert run(["search", "--include-rejected", "--subject", ANNA]) == 0
    assert homeward.scans.created[0].scope.include_rejected


def test_a_search_for_everybody_does_not_look_again_where_sightings_were_rejected(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", "--include-rejected"]) == 2
    assert "needs --subject" in capsys.readouterr().err
    assert homeward.scans.created == []


def test_whoever_is_enrolled_without_a_photograph_is_told_as_not_looked_for(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    del enrolled(homeward).reference_photos[:]
    homeward.scans.script = [[ended()]]

    assert run(["search"]) == 0

    told = capsys.readouterr()
    warning = "WARNING: not looked for, or not from the beginning of this search: Anna."
    assert warning in told.err
    assert warning in told.out


def test_recordings_that_came_later_by_the_clock_are_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    update = ended()
    update.scan.progress.later_footage_count = 2
    homeward.scans.script = [[update]]

    assert run(["search"]) == 0

    assert "by the service's clock: 2. Search again" in capsys.readouterr().out
