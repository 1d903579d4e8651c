"""A gallery in Qdrant's local mode that was lost: what clients meet, and how it is made whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from homeward.api.matching.v1 import matching_service_pb2, subject_service_pb2
from homeward.cli.__main__ import run

from .test_reenrol import (  # noqa: F401 - fixtures
    NEW,
    OLD,
    Matching,
    World,
    document_in,
    matching,
    refusal,
    template,
    world,
    yes,
)

Rebuilt = subject_service_pb2.RebuildGalleryResponse
INCOMPLETE = "GALLERY_INCOMPLETE"


@pytest.fixture
async def restarted(world: World, enrolled: list[str]) -> AsyncIterator[Matching]:  # noqa: F811
    """A replica of matching that starts on a Qdrant that has lost its collections."""
    assert len(enrolled) == 2
    for collection in world.engine.client.get_collections().collections:
        world.engine.client.delete_collection(collection.name)
    async with world.matching() as replica:
        yield replica


@pytest.fixture
async def enrolled(matching: Matching) -> list[str]:  # noqa: F811
    """Anna with two photographs, and Ben with one."""
    return [await matching.enrol("anna", b"anna1", b"anna2"), await matching.enrol("ben")]


async def rebuilt(replica: Matching, *, accept_lost: bool = False) -> list[Rebuilt]:
    request = subject_service_pb2.RebuildGalleryRequest(accept_lost=accept_lost)
    return [told async for told in replica.subjects.RebuildGallery(request)]


def ask(replica: Matching, call: str, *subject_ids: str) -> Any:
    requests = {
        "Match": lambda: matching_service_pb2.MatchRequest(
            probes=[template("ben", OLD)], subject_ids=subject_ids
        ),
        "GetThresholdPolicy": lambda: matching_service_pb2.GetThresholdPolicyRequest(
            subject_ids=subject_ids
        ),
    }
    return getattr(replica.matching, call)(requests[call]())


@pytest.mark.parametrize("call", ["Match", "GetThresholdPolicy"])
async def test_a_search_of_a_gallery_that_came_back_empty_is_refused(
    restarted: Matching, call: str
) -> None:
    reason, message = await refusal(ask(restarted, call))

    assert reason == INCOMPLETE
    assert "3 photographs of 2 people" in message


async def test_every_replica_hears_that_the_gallery_was_lost(
    world: World,  # noqa: F811
    matching: Matching,  # noqa: F811
    enrolled: list[str],
) -> None:
    """One that has just searched, and has not been restarted."""
    assert await matching.found("ben", OLD) == [enrolled[1]]
    for collection in world.engine.client.get_collections().collections:
        world.engine.client.delete_collection(collection.name)
    async with world.matching() as restarted:
        await refusal(ask(restarted, "Match"))

        assert (await refusal(ask(matching, "Match")))[0] == INCOMPLETE


async def test_a_rebuild_makes_everybody_found_again(
    restarted: Matching, enrolled: list[str]
) -> None:
    told = await rebuilt(restarted)

    assert (told[-1].stage, told[-1].total_photo_count) == (Rebuilt.STAGE_DONE, 3)
    assert (told[0].stage, told[0].model_name) == (Rebuilt.STAGE_EMBEDDING, OLD.name)
    assert await restarted.found("anna", OLD) == enrolled[:1]
    assert await restarted.found("ben", OLD) == enrolled[1:]


async def test_the_sweep_makes_everybody_found_again(
    restarted: Matching, enrolled: list[str]
) -> None:
    acts: Any = restarted.reenrolment._acts
    await restarted.retention.sweep(yes)
    await restarted.retention.sweep(yes)

    assert await restarted.found("ben", OLD) == enrolled[1:]
    assert [act for act, _ in acts.recorded] == ["MakeTemplates"]


async def test_moving_to_the_pack_in_use_makes_what_it_has_lost(
    restarted: Matching, enrolled: list[str]
) -> None:
    told = await restarted.moved(OLD.name)

    assert max(one.done_photo_count for one in told) == 3
    assert list(told[-1].lost_subject_ids) == []
    assert await restarted.found("ben", OLD) == enrolled[1:]


async def test_the_same_photographs_again_make_a_subject_found_again(
    restarted: Matching, enrolled: list[str]
) -> None:
    anna, ben = enrolled

    answer = await restarted.add(ben, b"ben")

    assert answer.already_held is False
    assert await ask(restarted, "GetThresholdPolicy", ben)
    assert (await refusal(ask(restarted, "Match", anna, ben)))[0] == INCOMPLETE


async def test_a_rebuild_that_was_killed_is_gone_on_with(
    world: World,  # noqa: F811
    restarted: Matching,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("homeward.matching.gallery.rebuild.WRITTEN_AT_ONCE", 1)
    monkeypatch.setattr("homeward.matching.gallery.rebuild.AT_ONCE", 1)
    call = restarted.subjects.RebuildGallery(subject_service_pb2.RebuildGalleryRequest())
    assert (await call.read()).done_photo_count == 0
    assert (await call.read()).done_photo_count == 1
    call.cancel()

    async with world.matching() as another:
        told = await rebuilt(another)

        assert told[-1].stage == Rebuilt.STAGE_DONE
        assert told[-1].total_photo_count < 3  # what was made before is not made again
        assert await another.gallery.count() == 3


async def test_a_gallery_without_a_photograph_that_its_pack_refused_is_whole(
    world: World,  # noqa: F811
    matching: Matching,  # noqa: F811
    enrolled: list[str],
) -> None:
    """The refusal was told, and accepted, when everybody was moved to the pack."""
    world.embedding.refused = {b"anna1", b"ben"}
    await matching.reenrol(accept_lost=True)

    assert await matching.found("anna", NEW) == enrolled[:1]
    await matching.retention.sweep(yes)
    assert await matching.gallery.count() == 1


async def cli(replica: Matching, *arguments: str) -> int:
    return await asyncio.to_thread(
        run, ["subject", "rebuild", "--matching", replica.address, *arguments]
    )


async def test_the_command_makes_the_gallery_whole(
    restarted: Matching, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await cli(restarted)
    first = capsys.readouterr().out
    again = await cli(restarted)

    assert (code, again) == (0, 0)
    assert "Searches go on: all who are looked for have templates again." in first
    assert "there was nothing to do" in capsys.readouterr().out


async def test_the_command_tells_who_is_lost_and_what_can_be_done(
    world: World,  # noqa: F811
    restarted: Matching,
    enrolled: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.embedding.refused = {b"ben"}

    code = await cli(restarted)
    told = capsys.readouterr().out
    accepted = await cli(restarted, "--accept-lost", "--output", "json")

    assert (code, accepted) == (10, 10)
    assert "the face is too small" in told
    assert "Searches that they are part of stay refused" in told
    document = document_in(capsys.readouterr().out)
    assert document["rebuild"]["lostSubjectIds"] == enrolled[1:]
    assert json.dumps(document["unusablePhotos"]).count("TOO_SMALL") == 1
    assert await ask(restarted, "Match")
