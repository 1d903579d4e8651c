"""The embedding service as a `FaceAnalyzer`."""

from __future__ import annotations

import grpc
import numpy as np

from homeward.api.embedding.v1 import embedding_service_pb2, embedding_service_pb2_grpc, face_pb2
from homeward.core.idempotency import idempotent_calls
from homeward.matching.gallery.model import Box, ModelInfo, PhotoAnalysis, Template
from homeward.servicekit.clients import check_health, translated, while_alive

IDEMPOTENT = idempotent_calls(embedding_service_pb2.DESCRIPTOR, streams=True)
"""Of its calls, those that may be repeated."""
PHOTO_TIMEOUT_SECONDS = 60.0
"""More than the 50 seconds after which the service gives a photograph up."""
MODEL_TIMEOUT_SECONDS = 10.0
"""More than it takes to find out that the service hangs, which tells since when."""


class GrpcFaceAnalyzer:
    """Asks the embedding service.

    Args:
        channel: To it.
        target: Its address, for messages.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str) -> None:
        self._channel = channel
        self._stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)
        self._target = target

    async def analyze(self, photo: bytes) -> PhotoAnalysis:
        """Judge a photograph."""
        request = embedding_service_pb2.AnalyzePhotoRequest(photo=photo)
        async with translated("embedding", self._target):
            call = self._stub.AnalyzePhoto(request, timeout=PHOTO_TIMEOUT_SECONDS)
            answer = await while_alive(call, self._channel, "embedding", self._target)
        face = answer.faces[0] if answer.faces else None
        usable = face is not None and answer.HasField("template")
        return PhotoAnalysis(
            problems=tuple(
                face_pb2.PhotoProblem.Name(problem).removeprefix("PHOTO_PROBLEM_")
                for problem in answer.problems
            ),
            box=Box(face.box.x, face.box.y, face.box.width, face.box.height) if face else None,
            quality=face.quality.score if face else 0.0,
            template=Template(
                np.asarray(answer.template.values, dtype=np.float32), answer.template.model_digest
            )
            if usable
            else None,
            other_faces=max(0, len(answer.faces) - 1),
        )

    async def ping(self) -> None:
        """Answer when the service does."""
        await check_health(self._channel, "embedding", self._target)

    async def model(self) -> ModelInfo:
        """Return the model pack in use."""
        async with translated("embedding", self._target):
            call = self._stub.GetModel(
                embedding_service_pb2.GetModelRequest(), timeout=MODEL_TIMEOUT_SECONDS
            )
            answer = await while_alive(call, self._channel, "embedding", self._target)
        return ModelInfo(answer.model.name, answer.model.digest, answer.model.template_size)
