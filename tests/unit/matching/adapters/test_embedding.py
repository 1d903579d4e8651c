from __future__ import annotations

from typing import Any

import grpc

from homeward.api.common.v1.types_pb2 import BoundingBox, Template
from homeward.api.embedding.v1 import embedding_service_pb2 as wire
from homeward.api.embedding.v1 import embedding_service_pb2_grpc as wire_grpc
from homeward.api.embedding.v1 import face_pb2
from homeward.matching.adapters.embedding import GrpcFaceAnalyzer
from homeward.servicekit.clients import open_channel


class TwoFaces(wire_grpc.EmbeddingServiceServicer):
    """Finds a large face and a small one in each photograph."""

    async def AnalyzePhoto(self, _: Any, __: Any) -> wire.AnalyzePhotoResponse:  # noqa: N802 - gRPC's name
        boxes = (BoundingBox(x=40, width=80, height=80), BoundingBox(x=1, width=20, height=20))
        return wire.AnalyzePhotoResponse(
            faces=[face_pb2.Face(box=box) for box in boxes],
            template=Template(values=[1.0, 0.0], model_digest="m"),
        )


async def test_a_photograph_of_two_is_of_the_larger_face_and_has_another() -> None:
    server = grpc.aio.server()
    wire_grpc.add_EmbeddingServiceServicer_to_server(TwoFaces(), server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with open_channel(target) as channel:
        analysis = await GrpcFaceAnalyzer(channel, target).analyze(b"photo")
    await server.stop(None)

    assert analysis.box is not None
    assert (analysis.box.x, analysis.other_faces) == (40, 1)
