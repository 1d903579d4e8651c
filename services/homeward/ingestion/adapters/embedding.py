"""The embedding service as a `FaceFinder`."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np
from numpy.typing import NDArray

from homeward.api.embedding.v1 import embedding_service_pb2, embedding_service_pb2_grpc, face_pb2
from homeward.core.idempotency import idempotent_calls
from homeward.core.vision.changes import Searched
from homeward.core.vision.planes import unstack, within
from homeward.core.vision.redaction import overlap
from homeward.core.vision.regions import Region
from homeward.ingestion.scan.faces import Box, Face, Frame, Template
from homeward.ingestion.scan.ports import FrameFaces, Undecodable
from homeward.ingestion.scan_metrics import STAGE_SECONDS
from homeward.servicekit import errors
from homeward.servicekit.clients import trace_metadata, translated

IDEMPOTENT = idempotent_calls(embedding_service_pb2.DESCRIPTOR, streams=True)
"""Calls that gRPC may repeat."""
EMBED_TIMEOUT_SECONDS = 60.0
EMBED_BATCH = 64

STALL_SECONDS = 60.0
"""Longest time for a few pictures: a detector that takes longer has stalled or is gone."""

DOUBTFUL_SCORE = 0.3
"""Least score of faces that are asked for: doubtful ones are needed to blur them in stills."""

LEAST_SCORE = 0.1
"""Least score of what is blurred in a still, although it may be no face: the least that the
embedding service takes."""

FRAMES_PER_MESSAGE = 4
REGIONS_PER_MESSAGE = 32
"""Half of the largest message that the service takes: one more picture fits."""

CLOSEUPS_PER_MESSAGE = 6
"""Pictures in a message: few, so that several processors share those of one appearance."""

MESSAGE_BYTES = 4 * 1024 * 1024
"""Size from which on a message is sent: another picture of 8K still fits."""

IN_FLIGHT = 4
"""Most messages without an answer: enough that the detector never waits."""

KNOWN_AFTER = (IN_FLIGHT + 2) * FRAMES_PER_MESSAGE
"""Pictures after which the faces of one are surely known. They are used from then on and not
before, so that a search does the same each time."""

SAME_FACE = 0.3
"""Overlap, as intersection over union, of two boxes that are the same face."""

_DetectCall = grpc.aio.StreamStreamCall[
    embedding_service_pb2.DetectFacesRequest, embedding_service_pb2.DetectFacesResponse
]


class GrpcFaceFinder:
    """Calls the embedding service.

    Args:
        channel: Channel to the service.
        target: Address of the service, for messages.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str) -> None:
        self._stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)
        self._target = target

    async def detector(self) -> str:
        """Return the SHA-256 of the detector, hexadecimal: another one finds other faces."""
        async with translated("embedding", self._target):
            answer = await self._stub.GetModel(
                embedding_service_pb2.GetModelRequest(), timeout=EMBED_TIMEOUT_SECONDS
            )
        return next(file.sha256 for file in answer.model.files if file.role == "detector")

    async def find(
        self,
        frames: AsyncIterator[Frame | Undecodable],
        *,
        thorough: bool,
    ) -> AsyncGenerator[list[FrameFaces], None]:
        """Yield the pictures with their faces, in order, a few at a time."""
        # Messages sent, in order; its size bounds the messages in flight.
        order: asyncio.Queue[_Message | None] = asyncio.Queue(IN_FLIGHT)
        view = _Fixed(thorough=thorough)
        async with translated("embedding", self._target):
            call = self._stub.DetectFaces(metadata=trace_metadata())
            writer = asyncio.create_task(self._send(frames, view, call, order))
            try:
                while (message := await order.get()) is not None:
                    answers = iter((await _read(call)).frames if message.frames else ())
                    yield [
                        (item, [])
                        if isinstance(item, Undecodable)
                        else (item.frame, _faces(item, answers, view))
                        for item in message.items
                    ]
                await writer  # raises what decoding or sending raised
            except TimeoutError as error:
                raise errors.unavailable(
                    "embedding", self._target, f"no answer for {STALL_SECONDS:g} s; see its log"
                ) from error
            except asyncio.InvalidStateError:
                await _read(call)  # the call ended while the writer wrote; this raises why
                raise
            finally:
                call.cancel()
                writer.cancel()
                await asyncio.wait([writer])

    async def _send(
        self,
        frames: AsyncIterator[Frame | Undecodable],
        view: _Fixed,
        call: _DetectCall,
        order: asyncio.Queue[_Message | None],
    ) -> None:
        message = _Message()

        async def flush() -> None:
            nonlocal message
            if message.frames:
                async with asyncio.timeout(STALL_SECONDS):
                    await call.write(_request(message.frames))
            if message.items:  # only now: the answer to what is in the order is waited for
                await order.put(message)
            message = _Message()

        try:
            async for item in frames:
                if isinstance(item, Undecodable):
                    message.items.append(item)
                else:
                    sent = _Sent(item, view.regions(item))
                    message.items.append(sent)
                    message.frames += [_to_frame(item, region) for region in sent.regions]
                if message.full:
                    await flush()
            await flush()
            await call.done_writing()
        except Exception:
            await order.put(None)  # the reader takes what was sent, then raises this
            raise
        await order.put(None)

    async def find_close(self, closeups: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Return the faces in each of some small pictures, BGR, in their pixels."""
        return await self.find_all(closeups, least_score=DOUBTFUL_SCORE)

    async def find_everybody(self, pictures: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Return whatever may be a face in each of some pictures, BGR, in their pixels."""
        return await self.find_all(pictures, least_score=LEAST_SCORE)

    async def find_all(
        self, images: Sequence[NDArray[np.uint8]], *, least_score: float
    ) -> list[list[Face]]:
        """Return the faces in each of some pictures, BGR, in their pixels, uncertain ones too."""
        found: list[list[Face]] = []
        async with translated("embedding", self._target):
            requests = (
                _request([_bgr(image) for image in batch], least_score)
                for batch in _batches(images)
            )
            call = self._stub.DetectFaces(
                requests, timeout=EMBED_TIMEOUT_SECONDS, metadata=trace_metadata()
            )
            async for answer in call:
                found += [
                    [_face(face, Region(0, 0, 0, 0)) for face in frame.faces]
                    for frame in answer.frames
                ]
        return found

    async def embed(
        self, aligned: Sequence[NDArray[np.uint8]], widths_px: Sequence[float]
    ) -> list[Template]:
        """Return one template for each aligned face."""
        templates: list[Template] = []
        for start in range(0, len(aligned), EMBED_BATCH):
            batch = slice(start, start + EMBED_BATCH)
            request = embedding_service_pb2.EmbedFacesRequest(
                aligned_faces=[face.tobytes() for face in aligned[batch]],
                face_widths_px=widths_px[batch],
            )
            async with translated("embedding", self._target):
                answer = await self._stub.EmbedFaces(request, timeout=EMBED_TIMEOUT_SECONDS)
            templates += [
                Template(np.asarray(one.values, np.float32), one.model_digest)
                for one in answer.templates
            ]
        return templates


async def _read(call: _DetectCall) -> embedding_service_pb2.DetectFacesResponse:
    """Return the next answer; if the call has ended, raise its error."""
    async with asyncio.timeout(STALL_SECONDS):
        with STAGE_SECONDS.labels("detect").time():
            answer = await call.read()
    if isinstance(answer, embedding_service_pb2.DetectFacesResponse):
        return answer
    raise errors.InternalError(
        "the embedding service ended a call before it had answered",
        reason=errors.Reason.INTERNAL,
    )


@dataclass(frozen=True, slots=True)
class _Sent:
    frame: Frame
    regions: Sequence[Region]
    """Of the frame's copy; one message each."""


@dataclass(slots=True)
class _Message:
    items: list[_Sent | Undecodable] = field(default_factory=list)
    frames: list[embedding_service_pb2.Frame] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return (
            len(self.items) >= FRAMES_PER_MESSAGE
            or len(self.frames) >= REGIONS_PER_MESSAGE
            or sum(len(frame.data) for frame in self.frames) > MESSAGE_BYTES
        )


class _Fixed:
    """The view of a camera that stands still.

    Args:
        thorough: Search all of each picture.
    """

    def __init__(self, *, thorough: bool) -> None:
        self._thorough = thorough
        self._searched = Searched()
        self._known: list[Face] = []
        self._before: deque[list[Face]] = deque([[]] * KNOWN_AFTER)
        """The faces known after each of the last pictures."""

    def regions(self, frame: Frame) -> Sequence[Region]:
        """Return what has changed, with all of any face that has changed in part."""
        height, width = frame.grey.shape
        if self._thorough:
            return [Region(0, 0, width, height)]
        known = [_around(face.box, 0, width, height) for face in self._before.popleft()]
        return self._searched.changed(frame.grey, known)

    def faces(self, sent: _Sent, found: Sequence[Face]) -> Sequence[Face]:
        """Return the faces found, and those known that are in no region."""
        kept = [
            face
            for face in self._known
            if not any(region.holds(*face.box.centre) for region in sent.regions)
        ]
        # At the border of a region, part of a face that is kept may have been found again.
        new = [face for face in found if all(overlap(face.box, k.box) < SAME_FACE for k in kept)]
        self._known = [*new, *kept]
        self._before.append(self._known)
        return self._known


def _around(box: Box, margin: float, width: int, height: int) -> Region:
    return Region(
        int(box.x - margin),
        int(box.y - margin),
        math.ceil(box.x + box.width + margin),
        math.ceil(box.y + box.height + margin),
    ).aligned(width, height)


def _in_whole(box: Box, region: Region, width: int, height: int) -> bool:
    """Whether a region holds all of a box that the picture holds."""
    return (
        (region.left == 0 or box.x >= region.left)
        and (region.top == 0 or box.y >= region.top)
        and (region.right == width or box.x + box.width <= region.right)
        and (region.bottom == height or box.y + box.height <= region.bottom)
    )


def _faces(
    sent: _Sent, answers: Iterator[embedding_service_pb2.FrameFaces], view: _Fixed
) -> list[Face]:
    """Return the faces of a picture; takes the answers to its regions.

    A face that reaches beyond a region is dropped: it was detected when its surroundings were
    searched, or will be when they change.
    """
    height, width = sent.frame.grey.shape
    found = [
        face
        for region in sent.regions
        for face in (_face(each, region) for each in next(answers).faces)
        if _in_whole(face.box, region, width, height)
    ]
    return [_enlarged(face, sent.frame.scale) for face in view.faces(sent, found)]


def _batches(pictures: Sequence[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    """Yield as many pictures at a time as go into a message."""
    batch: list[NDArray[np.uint8]] = []
    for picture in pictures:
        size = sum(one.nbytes for one in batch) + picture.nbytes
        if batch and (len(batch) == CLOSEUPS_PER_MESSAGE or size > MESSAGE_BYTES):
            yield batch
            batch = []
        batch.append(picture)
    if batch:
        yield batch


def _request(
    batch: list[embedding_service_pb2.Frame], least_score: float = DOUBTFUL_SCORE
) -> embedding_service_pb2.DetectFacesRequest:
    return embedding_service_pb2.DetectFacesRequest(
        frames=batch, min_detector_score=least_score, omit_quality=True
    )


def _to_frame(frame: Frame, region: Region) -> embedding_service_pb2.Frame:
    return embedding_service_pb2.Frame(
        pixel_format=embedding_service_pb2.PIXEL_FORMAT_I420,
        width=region.right - region.left,
        height=region.bottom - region.top,
        data=b"".join(plane.tobytes() for plane in within(unstack(frame.copy), region)),
    )


def _bgr(image: NDArray[np.uint8]) -> embedding_service_pb2.Frame:
    height, width = image.shape[:2]
    return embedding_service_pb2.Frame(
        pixel_format=embedding_service_pb2.PIXEL_FORMAT_BGR24,
        width=width,
        height=height,
        data=image.tobytes(),
    )


def _face(face: face_pb2.Face, region: Region) -> Face:
    """Return a face in pixels of the copy that a region is of."""
    box = Box(face.box.x + region.left, face.box.y + region.top, face.box.width, face.box.height)
    points = np.array([(point.x, point.y) for point in face.landmarks], np.float32)
    return Face(box, points + np.array([region.left, region.top], np.float32), face.detector_score)


def _enlarged(face: Face, scale: float) -> Face:
    """Return a face in pixels of the picture as recorded."""
    return Face(face.box.scaled(1 / scale), face.landmarks / scale, face.detector_score)
