"""The embedding service as a `FaceFinder`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

import grpc
import numpy as np
from numpy.typing import NDArray

from homeward.api.embedding.v1 import embedding_service_pb2, embedding_service_pb2_grpc, face_pb2
from homeward.ingestion.model import Box, Face, Frame, Template
from homeward.ingestion.ports import Undecodable
from homeward.servicekit import errors
from homeward.servicekit.clients import translated
from homeward.servicekit.executor import BoundedExecutor
from homeward.vision.scaling import shrink

SERVICE = "homeward.api.embedding.v1.EmbeddingService"
EMBED_TIMEOUT_SECONDS = 60.0
EMBED_BATCH = 64

STALL_SECONDS = 60.0
"""A detector that takes longer for a few pictures has stalled, or is no longer there."""

DOUBTFUL_SCORE = 0.3
"""Faces are asked for from this score on: those that nobody is sure of are blurred in stills."""

COPY_SIDE_PX = 960
"""Longest side of the copy that faces are looked for on, unless that is less than half of the
picture: a face of 24 pixels, the least that is compared, has 12 or more on it."""

FRAMES_PER_MESSAGE = 2
MESSAGE_BYTES = 8 * 1024 * 1024
"""A message of more than this goes with one picture: two of 8K would be too large together."""

IN_FLIGHT = 6
"""Pictures sent and not answered yet: enough that the detector never waits."""


_DetectCall = grpc.aio.StreamStreamCall[
    embedding_service_pb2.DetectFacesRequest, embedding_service_pb2.DetectFacesResponse
]


@dataclass(frozen=True, slots=True)
class _Sent:
    frame: Frame
    scale: float


class GrpcFaceFinder:
    """Asks the embedding service.

    Args:
        channel: To it.
        target: Its address, for messages.
        executor: Shrinks pictures.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str, executor: BoundedExecutor) -> None:
        self._stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)
        self._target = target
        self._executor = executor

    async def find(
        self, frames: AsyncIterator[Frame | Undecodable]
    ) -> AsyncGenerator[tuple[Frame | Undecodable, list[Face]], None]:
        """Yield each picture with its faces, in order; stretches pass through without any."""
        # What was sent, in order; its size bounds what is in flight.
        order: asyncio.Queue[_Sent | Undecodable | None] = asyncio.Queue(IN_FLIGHT)
        async with translated("embedding", self._target):
            call = self._stub.DetectFaces()
            writer = asyncio.create_task(self._send(frames, call, order))
            answers: deque[embedding_service_pb2.FrameFaces] = deque()
            try:
                while (item := await order.get()) is not None:
                    if isinstance(item, Undecodable):
                        yield item, []
                        continue
                    if not answers:
                        answers.extend((await _read(call)).frames)
                    yield item.frame, [_face(face, item.scale) for face in answers.popleft().faces]
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
        call: _DetectCall,
        order: asyncio.Queue[_Sent | Undecodable | None],
    ) -> None:
        batch: list[tuple[embedding_service_pb2.Frame, _Sent]] = []

        async def flush() -> None:
            if batch:
                async with asyncio.timeout(STALL_SECONDS):
                    await call.write(_request([message for message, _ in batch]))
            for _, sent in batch:  # only now: the answer to what is in the order is waited for
                await order.put(sent)
            batch.clear()

        try:
            async for item in frames:
                if isinstance(item, Undecodable):
                    await flush()
                    await order.put(item)
                    continue
                message, scale = await self._executor.run(_to_frame, item)
                batch.append((message, _Sent(item, scale)))
                size = sum(len(sent.data) for sent, _ in batch)
                if len(batch) == FRAMES_PER_MESSAGE or size > MESSAGE_BYTES:
                    await flush()
            await flush()
            await call.done_writing()
        except Exception:
            await order.put(None)  # the reader takes what was sent, then raises this
            raise
        await order.put(None)

    async def embed(self, aligned: Sequence[NDArray[np.uint8]]) -> list[Template]:
        """Return one template for each aligned face."""
        templates: list[Template] = []
        for start in range(0, len(aligned), EMBED_BATCH):
            request = embedding_service_pb2.EmbedFacesRequest(
                aligned_faces=[face.tobytes() for face in aligned[start : start + EMBED_BATCH]]
            )
            async with translated("embedding", self._target):
                answer = await self._stub.EmbedFaces(request, timeout=EMBED_TIMEOUT_SECONDS)
            templates += [
                Template(np.asarray(one.values, np.float32), one.model_digest)
                for one in answer.templates
            ]
        return templates


async def _read(call: _DetectCall) -> embedding_service_pb2.DetectFacesResponse:
    """Return the next answer; a call that ended has one fewer than was sent, and says why."""
    async with asyncio.timeout(STALL_SECONDS):
        answer = await call.read()
    if isinstance(answer, embedding_service_pb2.DetectFacesResponse):
        return answer
    raise errors.InternalError(
        "the embedding service ended a call before it had answered",
        reason=errors.Reason.INTERNAL,
    )


def _request(batch: list[embedding_service_pb2.Frame]) -> embedding_service_pb2.DetectFacesRequest:
    return embedding_service_pb2.DetectFacesRequest(frames=batch, min_detector_score=DOUBTFUL_SCORE)


def _to_frame(frame: Frame) -> tuple[embedding_service_pb2.Frame, float]:
    longest = max(frame.image.shape[:2])
    small, scale = shrink(frame.image, max(COPY_SIDE_PX, longest // 2))
    height, width = small.shape[:2]
    message = embedding_service_pb2.Frame(
        pixel_format=embedding_service_pb2.PIXEL_FORMAT_BGR24,
        width=width,
        height=height,
        data=small.tobytes(),
    )
    return message, scale


def _face(face: face_pb2.Face, scale: float) -> Face:
    """Return a face in pixels of the picture as recorded."""
    box = Box(face.box.x, face.box.y, face.box.width, face.box.height).scaled(1 / scale)
    points = np.array([(point.x, point.y) for point in face.landmarks], np.float32) / scale
    return Face(box, points, face.detector_score)
