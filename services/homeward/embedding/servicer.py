"""The gRPC face of the use cases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

import grpc

from homeward.api.embedding.v1 import embedding_service_pb2 as wire
from homeward.api.embedding.v1 import embedding_service_pb2_grpc as wire_grpc
from homeward.embedding import convert, metrics
from homeward.embedding.model import ModelPack
from homeward.embedding.ordered import in_order
from homeward.embedding.usecases import AnalyzePhoto, DetectFaces, EmbedFaces
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.server import Service

T = TypeVar("T")
_Context = grpc.aio.ServicerContext[Any, Any]
_FACES_PER_CALL = 8
"""A large batch is cut into calls of so many faces, to keep all threads equally busy."""


class EmbeddingServicer(wire_grpc.EmbeddingServiceServicer):
    """Serves `homeward.api.embedding.v1.EmbeddingService`.

    Args:
        detect: Use case.
        embed: Use case.
        analyze: Use case.
        model: What the use cases run.
        executor: Where `detect` and `embed` run, sharing its threads and its limit.
        photo_executor: Where `analyze` runs: photographs that take all of their time must keep no
            scan waiting.
        batches_in_flight: Most batches of one `DetectFaces` call that are held at a time.
    """

    def __init__(
        self,
        *,
        detect: DetectFaces,
        embed: EmbedFaces,
        analyze: AnalyzePhoto,
        model: ModelPack,
        executor: BoundedExecutor,
        photo_executor: BoundedExecutor,
        batches_in_flight: int,
    ) -> None:
        self._detect = detect
        self._embed = embed
        self._analyze = analyze
        self._model = model
        self._executor = executor
        self._photo_executor = photo_executor
        self._batches_in_flight = batches_in_flight

    def service(self) -> Service:
        """Return what `GrpcServer` takes."""
        return Service(
            name=wire.DESCRIPTOR.services_by_name["EmbeddingService"].full_name,
            add=wire_grpc.add_EmbeddingServiceServicer_to_server,
            servicer=self,
        )

    async def DetectFaces(
        self, request_iterator: AsyncIterator[wire.DetectFacesRequest], context: _Context
    ) -> AsyncIterator[wire.DetectFacesResponse]:
        """Answer each batch of frames, in order."""
        del context
        async for response in in_order(
            request_iterator, self._detect_batch, limit=self._batches_in_flight
        ):
            yield response

    async def _detect_batch(self, request: wire.DetectFacesRequest) -> wire.DetectFacesResponse:
        frames = convert.frames_from(request)
        min_score = convert.min_score_from(request)
        found = await self._executor.run(
            _timed,
            "detect",
            len(frames),
            partial(self._detect, frames, min_score, measured=not request.omit_quality),
        )
        return convert.detect_response(found)

    async def EmbedFaces(
        self, request: wire.EmbedFacesRequest, context: _Context
    ) -> wire.EmbedFacesResponse:
        """Turn aligned faces into templates."""
        del context
        faces = convert.aligned_faces_from(request, self._model.aligned_side_px)
        widths = convert.face_widths_from(request)
        batches = [slice(i, i + _FACES_PER_CALL) for i in range(0, len(faces), _FACES_PER_CALL)]
        parts = await asyncio.gather(
            *(
                self._executor.run(
                    _timed,
                    "embed",
                    len(faces[batch]),
                    partial(self._embed, faces[batch], None if widths is None else widths[batch]),
                )
                for batch in batches
            )
        )
        templates = (template for part in parts for template in part)
        return convert.embed_response(templates, self._model.digest)

    async def AnalyzePhoto(
        self, request: wire.AnalyzePhotoRequest, context: _Context
    ) -> wire.AnalyzePhotoResponse:
        """Judge a photograph."""
        del context
        photo = convert.photo_from(request)
        analysis = await self._photo_executor.run(
            _timed, "analyze", 1, partial(self._analyze, photo)
        )
        return convert.analysis_response(analysis, self._model.digest)

    async def GetModel(
        self, request: wire.GetModelRequest, context: _Context
    ) -> wire.GetModelResponse:
        """Tell which model pack is in use."""
        del request, context
        return convert.model_response(self._model)


def _timed(task: metrics.Task, items: int, call: Callable[[], T]) -> T:
    """Measure a call in the thread that it runs in."""
    with metrics.inference(task, items):
        return call()
