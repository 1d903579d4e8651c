from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import numpy as np
import pytest

from homeward.api.common.v1 import types_pb2
from homeward.api.embedding.v1 import embedding_service_pb2 as wire
from homeward.api.embedding.v1 import embedding_service_pb2_grpc as wire_grpc
from homeward.api.embedding.v1 import face_pb2, model_pb2
from homeward.ingestion.adapters.embedding import (
    DOUBTFUL_SCORE,
    EMBED_BATCH,
    FRAMES_PER_MESSAGE,
    REGIONS_PER_MESSAGE,
    GrpcFaceFinder,
)
from homeward.ingestion.adapters.memory import InMemoryPicture
from homeward.ingestion.scan.faces import Box, Frame
from homeward.ingestion.scan.ports import Undecodable
from homeward.servicekit import errors
from homeward.servicekit.clients import open_channel


class FakeEmbedding(wire_grpc.EmbeddingServiceServicer):
    """Finds in each picture one face, at a fixed part of it, as wide as the picture's number.

    But never wider than half of the picture.
    """

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.formats: set[int] = set()
        self.scores: set[float] = set()
        self.answers_left = 10_000
        self.refuses = grpc.StatusCode.OK
        self.embedded: list[int] = []
        self.widths: list[float] = []
        self.left = 0.25
        """Where faces begin, as a part of the picture's width."""

    async def DetectFaces(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        async for request in request_iterator:
            self.scores.add(round(request.min_detector_score, 3))
            if not self.answers_left:
                await self.stop(context)
            self.answers_left -= 1
            yield wire.DetectFacesResponse(frames=[self._found(one) for one in request.frames])

    async def stop(self, context: Any) -> None:
        if self.refuses is grpc.StatusCode.OK:
            await asyncio.Event().wait()  # answers no more, and does not say so
        await context.abort(self.refuses, "no more")

    def _found(self, frame: wire.Frame) -> wire.FrameFaces:
        self.sizes.append((frame.width, frame.height))
        self.formats.add(frame.pixel_format)
        number = frame.data[0]
        point = types_pb2.Point(x=frame.width / 2, y=frame.height / 4)
        wide = min(number + 1, frame.width / 2)
        box = types_pb2.BoundingBox(x=frame.width * self.left, y=0, width=wide, height=frame.height)
        face = face_pb2.Face(box=box, landmarks=[point] * 5, detector_score=0.5)
        return wire.FrameFaces(frame_id=frame.frame_id, faces=[face])

    async def GetModel(self, _: Any, __: Any) -> Any:  # noqa: N802 - gRPC's name
        files = [
            model_pb2.ModelFile(role="recogniser", sha256="e" * 64),
            model_pb2.ModelFile(role="detector", sha256="d" * 64),
        ]
        return wire.GetModelResponse(model=model_pb2.Model(files=files))

    async def EmbedFaces(self, request: wire.EmbedFacesRequest, _: Any) -> Any:  # noqa: N802 - gRPC's name
        self.embedded.append(len(request.aligned_faces))
        self.widths += request.face_widths_px
        return wire.EmbedFacesResponse(
            templates=[
                types_pb2.Template(values=[face[0], 1], model_digest="model-1")
                for face in request.aligned_faces
            ]
        )


def picture(number: int, width: int = 64, height: int = 36) -> Frame:
    image = np.full((height, width, 3), number, np.uint8)
    copy = np.full((height * 3 // 2, width), number, np.uint8)
    return Frame(timedelta(seconds=number), InMemoryPicture(image), copy, 1.0)


async def film(*items: Frame | Undecodable) -> AsyncIterator[Frame | Undecodable]:
    for item in items:
        yield item


async def endless() -> AsyncIterator[Frame]:
    while True:
        yield picture(1)
        await asyncio.sleep(0)


async def all_of(
    finder: GrpcFaceFinder, items: AsyncIterator[Any], *, thorough: bool = True, **how: Any
) -> list[Any]:
    async with aclosing(finder.find(items, thorough=thorough, **how)) as found:
        return [one async for looked in found for one in looked]


@pytest.fixture
def service() -> FakeEmbedding:
    return FakeEmbedding()


@pytest.fixture
async def finder(service: FakeEmbedding) -> AsyncIterator[GrpcFaceFinder]:
    server = grpc.aio.server()
    wire_grpc.add_EmbeddingServiceServicer_to_server(service, server)
    port = server.add_insecure_port("localhost:0")
    await server.start()
    target = f"localhost:{port}"
    async with open_channel(target) as channel:
        yield GrpcFaceFinder(channel, target)
    await server.stop(0)


async def test_pictures_come_back_in_order_each_with_its_faces(finder: GrpcFaceFinder) -> None:
    pictures = [picture(number) for number in range(15)]

    found = await all_of(finder, film(*pictures))

    assert [item for item, _ in found] == pictures
    assert [face.box.width for _, (face,) in found] == list(range(1, 16))


async def test_faces_are_in_pixels_of_the_picture_as_recorded(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    half = replace(picture(0, 960, 540), scale=0.5)

    ((_, (face,)),) = await all_of(finder, film(half))

    assert service.sizes == [(960, 540)]
    assert (face.box.x, face.box.width, face.box.height) == (480, 2, 1080)
    assert face.landmarks.tolist() == [[960, 270]] * 5
    assert face.detector_score == 0.5


def moving(number: int, at: int | None, size: tuple[int, int] = (480, 272)) -> Frame:
    """A street in grey, with something bright at a place."""
    width, height = size
    copy = np.full((height * 3 // 2, width), 100, np.uint8)
    if at is not None:
        copy[100:140, at : at + 40] = 200
    image = np.zeros((height, width, 3), np.uint8)
    return Frame(timedelta(seconds=number), InMemoryPicture(image), copy, 1.0)


async def test_only_what_has_changed_is_searched_again(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    pictures = [moving(0, None), moving(1, None), moving(2, 200), moving(3, 200)]

    await all_of(finder, film(*pictures), thorough=False)

    whole, region = service.sizes
    assert whole == (480, 272)
    assert region[0] * region[1] < 480 * 272 / 3


async def test_what_has_not_changed_shows_the_faces_found_before(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    found = await all_of(
        finder, film(*(moving(number, None) for number in range(4))), thorough=False
    )

    assert len(service.sizes) == 1
    assert [[face.box for face in faces] for _, faces in found] == [[Box(120, 0, 101, 272)]] * 4


async def test_faces_of_a_region_are_in_pixels_of_the_picture(finder: GrpcFaceFinder) -> None:
    half = [replace(moving(number, at), scale=0.5) for number, at in ((0, None), (1, 320))]

    found = await all_of(finder, film(*half), thorough=False)

    (_, faces) = found[1]
    assert any(face.box.x > 2 * 250 for face in faces)


async def test_what_reaches_beyond_a_region_is_no_face(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    service.left = 0.75

    found = await all_of(finder, film(moving(0, None), moving(1, 200)), thorough=False)

    # Beyond the picture nobody can see: at its edge there may be half of a face.
    assert [len(faces) for _, faces in found] == [1, 1]
    assert [face.box for face in found[1][1]] == [face.box for face in found[0][1]]


async def test_a_thorough_search_leaves_nothing_out(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    await all_of(finder, film(moving(0, None), moving(1, None)), thorough=True)

    assert service.sizes == [(480, 272)] * 2


async def test_faces_on_close_ups_are_in_pixels_of_the_close_up(finder: GrpcFaceFinder) -> None:
    small, large = np.full((40, 60, 3), 7, np.uint8), np.full((100, 80, 3), 9, np.uint8)

    found = await finder.find_close([small, large])

    assert [[face.box for face in faces] for faces in found] == [
        [Box(15, 0, 8, 40)],
        [Box(20, 0, 10, 100)],
    ]
    assert found[1][0].landmarks.tolist() == [[40, 25]] * 5


async def test_close_ups_are_sent_as_they_are(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    await finder.find_close([np.zeros((40, 60, 3), np.uint8)])

    assert (service.sizes, service.formats) == ([(60, 40)], {wire.PIXEL_FORMAT_BGR24})


async def test_many_close_ups_come_back_in_order(finder: GrpcFaceFinder) -> None:
    closeups = [
        np.full((40, 200, 3), number, np.uint8) for number in range(2 * REGIONS_PER_MESSAGE + 5)
    ]

    found = await finder.find_close(closeups)

    assert [faces[0].box.width for faces in found] == list(range(1, len(closeups) + 1))


async def test_whatever_may_be_a_face_is_asked_for_to_be_blurred(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    await finder.find_close([np.zeros((40, 60, 3), np.uint8)])
    await finder.find_everybody([np.zeros((40, 60, 3), np.uint8)])

    assert service.scores == {0.3, 0.1}


async def test_large_pictures_come_in_messages_that_are_taken(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    found = await finder.find_everybody([np.zeros((1000, 800, 3), np.uint8)] * 8)

    assert len(found) == 8
    assert service.answers_left == 10_000 - 8


async def test_no_close_ups_have_no_faces(finder: GrpcFaceFinder) -> None:
    assert await finder.find_close([]) == []


async def test_a_service_that_fails_on_a_close_up_is_an_error(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    service.answers_left, service.refuses = 0, grpc.StatusCode.UNAVAILABLE

    with pytest.raises(errors.UnavailableError):
        await finder.find_close([np.zeros((40, 60, 3), np.uint8)])


async def test_the_detector_is_named_by_its_digest(finder: GrpcFaceFinder) -> None:
    assert await finder.detector() == "d" * 64


async def test_doubtful_faces_are_asked_for(finder: GrpcFaceFinder, service: FakeEmbedding) -> None:
    await all_of(finder, film(picture(0)))

    assert service.scores == {DOUBTFUL_SCORE}


async def test_damaged_stretches_pass_through_in_their_place(finder: GrpcFaceFinder) -> None:
    gap = Undecodable(timedelta(seconds=1), timedelta(seconds=5), "it crashed")
    items = [picture(0), gap, picture(5), picture(6), gap]

    found = await all_of(finder, film(*items))

    assert [item for item, _ in found] == items
    assert [len(faces) for _, faces in found] == [1, 0, 1, 1, 0]


async def test_many_damaged_stretches_in_a_row_stop_nothing(finder: GrpcFaceFinder) -> None:
    gaps = [
        Undecodable(timedelta(seconds=one), timedelta(seconds=one + 1), "it crashed")
        for one in range(20)
    ]

    async with asyncio.timeout(5):
        found = await all_of(finder, film(picture(0), *gaps))

    assert len(found) == 21


async def test_no_pictures_find_no_faces(finder: GrpcFaceFinder) -> None:
    assert await all_of(finder, film()) == []


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.UnavailableError),
        (grpc.StatusCode.INTERNAL, errors.InternalError),
    ],
)
async def test_a_service_that_fails_midway_is_an_error(
    finder: GrpcFaceFinder,
    service: FakeEmbedding,
    code: grpc.StatusCode,
    error: type[errors.DomainError],
) -> None:
    service.answers_left, service.refuses = 2, code

    async def waits_for_more() -> AsyncIterator[Frame]:
        for _ in range(3 * FRAMES_PER_MESSAGE):
            yield picture(1)
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        with pytest.raises(error):
            await all_of(finder, waits_for_more())


async def test_a_service_that_goes_away_while_it_is_written_to_is_unavailable(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    service.answers_left, service.refuses = 2, grpc.StatusCode.UNAVAILABLE

    async with asyncio.timeout(5):
        with pytest.raises(errors.UnavailableError):
            await all_of(finder, endless())


async def test_a_service_that_is_not_there_is_named() -> None:
    async with open_channel("localhost:1") as channel, asyncio.timeout(10):
        with pytest.raises(errors.UnavailableError) as refused:
            await all_of(GrpcFaceFinder(channel, "localhost:1"), film(picture(0)))

    assert refused.value.metadata == {"component": "embedding", "address": "localhost:1"}


async def test_what_decoding_raises_is_raised(finder: GrpcFaceFinder) -> None:
    async def breaks_off() -> AsyncIterator[Frame]:
        yield picture(0)
        raise errors.unavailable("S3", "somewhere", "start it")

    with pytest.raises(errors.UnavailableError, match="S3"):
        await all_of(finder, breaks_off())


def writers() -> list[str]:
    """The tasks of the adapter that are under way."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("GrpcFaceFinder")]


@pytest.mark.parametrize("answers", [3, 10_000], ids=["stalled", "answering"])
async def test_a_caller_who_leaves_early_leaves_nothing_running(
    finder: GrpcFaceFinder, service: FakeEmbedding, answers: int
) -> None:
    service.answers_left = answers

    async with asyncio.timeout(5), aclosing(finder.find(endless(), thorough=True)) as found:
        await anext(found)

    assert writers() == []


@pytest.mark.parametrize("answers", [3, 10_000], ids=["stalled", "answering"])
async def test_a_caller_who_is_cancelled_leaves_nothing_running(
    finder: GrpcFaceFinder, service: FakeEmbedding, answers: int
) -> None:
    service.answers_left = answers
    search = asyncio.create_task(all_of(finder, endless()))
    await asyncio.wait([search], timeout=0.2)

    search.cancel()
    await asyncio.wait([search], timeout=5)

    assert search.cancelled()
    assert writers() == []


async def test_templates_come_in_the_order_of_their_faces(
    finder: GrpcFaceFinder, service: FakeEmbedding
) -> None:
    crops = [np.full((112, 112, 3), number, np.uint8) for number in range(EMBED_BATCH + 5)]

    widths = [20.0 + number for number in range(EMBED_BATCH + 5)]

    templates = await finder.embed(crops, widths)

    assert service.widths == widths

    assert [one.values[0] for one in templates] == list(range(EMBED_BATCH + 5))
    assert {one.model_digest for one in templates} == {"model-1"}
    assert service.embedded == [EMBED_BATCH, 5]
