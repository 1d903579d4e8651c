"""The embedding service as its clients meet it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from prometheus_client import REGISTRY

from homeward.api.embedding.v1 import embedding_service_pb2 as wire
from homeward.api.embedding.v1 import embedding_service_pb2_grpc as wire_grpc
from homeward.api.embedding.v1 import face_pb2
from homeward.core.vision.alignment import align
from homeward.embedding.adapters.pack import load_pack
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.model import Photo
from homeward.embedding.ports import LoadedPack, PictureDecoder
from homeward.embedding.servicer import EmbeddingServicer
from homeward.embedding.usecases import AnalyzePhoto, DetectFaces, EmbedFaces
from homeward.servicekit.clients import open_channel, translate
from homeward.servicekit.errors import DomainError, Reason
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.server import GrpcServer


@pytest.fixture(scope="module")
def pack() -> LoadedPack:
    return load_pack(runtime="auto", threads=2, cache=None)


@pytest.fixture(scope="module")
def photo_file() -> bytes:
    files = importlib.metadata.files("insightface") or []
    path = next(file for file in files if file.name == "t1.jpg")
    return Path(path.locate()).read_bytes()


@pytest.fixture(scope="module")
def photo(photo_file: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(photo_file, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
async def stub(pack: LoadedPack) -> AsyncIterator[wire_grpc.EmbeddingServiceAsyncStub]:
    async with serving(pack, PillowPictureDecoder()) as stub:
        yield stub


@asynccontextmanager
async def serving(
    pack: LoadedPack, decoder: PictureDecoder
) -> AsyncIterator[wire_grpc.EmbeddingServiceAsyncStub]:
    async with (
        BoundedExecutor("embedding", workers=2, queue=8) as executor,
        BoundedExecutor("photographs", workers=1, queue=1) as photo_executor,
    ):
        servicer = EmbeddingServicer(
            detect=DetectFaces(decoder, pack.detector),
            embed=EmbedFaces(pack.recogniser),
            analyze=AnalyzePhoto(decoder, pack.detector, pack.recogniser),
            model=pack.model,
            executor=executor,
            photo_executor=photo_executor,
            batches_in_flight=3,
        )
        server = GrpcServer([servicer.service()], listen="localhost:0", checks={}, grace_seconds=1)
        await server.start()
        async with open_channel(f"localhost:{server.port}") as channel:
            yield wire_grpc.EmbeddingServiceStub(channel)
        await server.stop()


def inferred(task: str) -> tuple[float, float]:
    """Return how many batches and items of a task have been worked on."""
    of = {"task": task}
    return (
        REGISTRY.get_sample_value("homeward_inference_seconds_count", of) or 0.0,
        REGISTRY.get_sample_value("homeward_inference_items_total", of) or 0.0,
    )


async def test_inference_is_counted_by_batch_and_by_item(
    stub: wire_grpc.EmbeddingServiceAsyncStub, photo: np.ndarray
) -> None:
    face = np.ascontiguousarray(photo[:112, :112]).tobytes()
    batches, items = inferred("embed")

    await stub.EmbedFaces(wire.EmbedFacesRequest(aligned_faces=[face] * 10))

    assert inferred("embed") == (batches + 2, items + 10)


def frame(picture: np.ndarray, frame_id: int = 0) -> wire.Frame:
    height, width = picture.shape[:2]
    return wire.Frame(
        frame_id=frame_id,
        pixel_format=wire.PIXEL_FORMAT_BGR24,
        width=width,
        height=height,
        data=picture.tobytes(),
    )


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()


async def detect(stub: Any, *requests: wire.DetectFacesRequest) -> list[wire.DetectFacesResponse]:
    return [response async for response in stub.DetectFaces(iter(requests))]


def landmarks_of(face: face_pb2.Face) -> np.ndarray:
    return np.array([[point.x, point.y] for point in face.landmarks])


def explained(refused: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> DomainError:
    return translate(refused.value, "embedding", "")


async def test_detect_faces_finds_all_six_in_raw_pixels(stub: Any, photo: np.ndarray) -> None:
    (response,) = await detect(stub, wire.DetectFacesRequest(frames=[frame(photo, 5)]))

    (found,) = response.frames
    scores = [face.detector_score for face in found.faces]
    assert found.frame_id == 5
    assert len(scores) == 6
    assert scores == sorted(scores, reverse=True)


async def test_detect_faces_finds_all_six_in_a_jpeg(
    stub: Any, photo: np.ndarray, photo_file: bytes
) -> None:
    picture = frame(photo)
    picture.pixel_format = wire.PIXEL_FORMAT_JPEG
    picture.data = photo_file

    (response,) = await detect(stub, wire.DetectFacesRequest(frames=[picture]))

    assert len(response.frames[0].faces) == 6


async def test_detect_faces_answers_batches_in_their_order(stub: Any, photo: np.ndarray) -> None:
    small = cv2.resize(photo, (160, 111))
    slow_then_fast = [
        wire.DetectFacesRequest(frames=[frame([photo, small][i % 2], i)]) for i in range(12)
    ]

    responses = await detect(stub, *slow_then_fast)

    assert [response.frames[0].frame_id for response in responses] == list(range(12))


async def test_detect_faces_answers_a_client_that_waits_for_each_answer(
    stub: Any, photo: np.ndarray
) -> None:
    call = stub.DetectFaces()

    await call.write(wire.DetectFacesRequest(frames=[frame(photo, 1)]))
    first = await call.read()
    await call.write(wire.DetectFacesRequest(frames=[frame(photo, 2)]))
    second = await call.read()
    await call.done_writing()

    assert [first.frames[0].frame_id, second.frames[0].frame_id] == [1, 2]


async def test_detect_faces_refuses_a_batch_without_frames(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await detect(stub, wire.DetectFacesRequest())

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert explained(refused).reason is Reason.FIELD_INVALID


async def test_detect_faces_refuses_a_wrong_number_of_bytes(stub: Any, photo: np.ndarray) -> None:
    picture = frame(photo)
    picture.data = picture.data[:-1]

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await detect(stub, wire.DetectFacesRequest(frames=[picture]))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert explained(refused).reason is Reason.FIELD_INVALID
    assert "frames[0].data" in (refused.value.details() or "")


async def test_detect_faces_refuses_an_unknown_format(stub: Any, photo: np.ndarray) -> None:
    picture = frame(photo)
    picture.pixel_format = wire.PIXEL_FORMAT_UNSPECIFIED

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await detect(stub, wire.DetectFacesRequest(frames=[picture]))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert explained(refused).reason is Reason.FIELD_INVALID


async def test_detect_faces_refuses_a_jpeg_that_is_none(stub: Any, photo: np.ndarray) -> None:
    picture = frame(photo)
    picture.pixel_format = wire.PIXEL_FORMAT_JPEG

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await detect(stub, wire.DetectFacesRequest(frames=[picture]))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert explained(refused).reason is Reason.IMAGE_UNREADABLE


async def test_embed_faces_gives_unit_vectors_of_the_pack(
    stub: Any, photo: np.ndarray, pack: LoadedPack
) -> None:
    (found,) = await detect(stub, wire.DetectFacesRequest(frames=[frame(photo)]))
    crops = [align(photo, landmarks_of(face)).tobytes() for face in found.frames[0].faces]

    response = await stub.EmbedFaces(wire.EmbedFacesRequest(aligned_faces=crops * 8))

    vectors = np.array([template.values for template in response.templates])
    assert vectors.shape == (48, 128)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[:6], vectors[-6:], atol=1e-5)
    assert {template.model_digest for template in response.templates} == {pack.model.digest}


async def test_a_face_in_footage_is_measured_from_where_those_of_its_size_are(
    stub: Any, photo: np.ndarray, pack: LoadedPack
) -> None:
    (found,) = await detect(stub, wire.DetectFacesRequest(frames=[frame(photo)]))
    crops = [align(photo, landmarks_of(face)) for face in found.frames[0].faces][:2] * 5
    widths = [20.0, 30.0, 40.0, 60.0, 80.0, 20.0, 30.0, 40.0, 60.0, 80.0]

    response = await stub.EmbedFaces(
        wire.EmbedFacesRequest(
            aligned_faces=[crop.tobytes() for crop in crops], face_widths_px=widths
        )
    )

    vectors = np.array([template.values for template in response.templates])
    expected = pack.recogniser.embed(np.stack(crops), np.array(widths, np.float32))
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert np.abs(vectors - pack.recogniser.embed(np.stack(crops))).max() > 0.01


@pytest.mark.parametrize("widths", [[20.0], [20.0] * 3, [0.5, 20.0], [20.0, 65_537.0]])
async def test_embed_faces_refuses_widths_that_break_a_rule(stub: Any, widths: list[float]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.EmbedFaces(
            wire.EmbedFacesRequest(aligned_faces=[bytes(112 * 112 * 3)] * 2, face_widths_px=widths)
        )

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert explained(refused).reason is Reason.FIELD_INVALID


@pytest.mark.parametrize("crops", [[], [b"short"], [bytes(112 * 112 * 3)] * 257])
async def test_embed_faces_refuses_crops_that_break_a_rule(stub: Any, crops: list[bytes]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.EmbedFaces(wire.EmbedFacesRequest(aligned_faces=crops))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert explained(refused).reason is Reason.FIELD_INVALID


async def test_embed_faces_refuses_work_beyond_the_queue(stub: Any) -> None:
    calls = [
        stub.EmbedFaces(wire.EmbedFacesRequest(aligned_faces=[bytes(112 * 112 * 3)] * 200))
        for _ in range(4)
    ]

    codes = [await call.code() for call in calls]

    assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes


async def test_analyze_photo_says_that_a_group_has_several_faces(
    stub: Any, photo_file: bytes
) -> None:
    response = await stub.AnalyzePhoto(wire.AnalyzePhotoRequest(photo=photo_file))

    sizes = [face.box.width * face.box.height for face in response.faces]
    assert list(response.problems) == [face_pb2.PHOTO_PROBLEM_SEVERAL_FACES]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 6
    assert not response.HasField("template")
    assert (response.width, response.height) == (1280, 886)


async def test_analyze_photo_accepts_the_cut_out_of_one_face(
    stub: Any, photo: np.ndarray, pack: LoadedPack
) -> None:
    (found,) = await detect(stub, wire.DetectFacesRequest(frames=[frame(photo)]))
    box = found.frames[0].faces[0].box
    top, left = int(max(0, box.y - box.height / 3)), int(max(0, box.x - box.width / 3))
    cut_out = photo[top : int(box.y + box.height * 1.3), left : int(box.x + box.width * 1.3)]

    response = await stub.AnalyzePhoto(wire.AnalyzePhotoRequest(photo=jpeg(cut_out)))

    assert list(response.problems) == []
    assert response.template.model_digest == pack.model.digest
    assert np.linalg.norm(response.template.values) == pytest.approx(1, abs=1e-5)


async def test_analyze_photo_refuses_a_blurred_face_without_an_error(
    stub: Any, photo: np.ndarray
) -> None:
    (found,) = await detect(stub, wire.DetectFacesRequest(frames=[frame(photo)]))
    box = found.frames[0].faces[0].box
    cut_out = photo[
        int(max(0, box.y)) : int(box.y + box.height), int(max(0, box.x)) : int(box.x + box.width)
    ]

    response = await stub.AnalyzePhoto(
        wire.AnalyzePhotoRequest(photo=jpeg(cv2.GaussianBlur(cut_out, (0, 0), 5)))
    )

    assert face_pb2.PHOTO_PROBLEM_BLURRED in response.problems


async def test_analyze_photo_says_that_there_is_no_face(stub: Any) -> None:
    empty = jpeg(np.full((300, 300, 3), 127, np.uint8))

    response = await stub.AnalyzePhoto(wire.AnalyzePhotoRequest(photo=empty))

    assert list(response.problems) == [face_pb2.PHOTO_PROBLEM_NO_FACE]


@pytest.mark.parametrize(
    ("photo", "reason"), [(b"", Reason.FIELD_INVALID), (b"no picture", Reason.IMAGE_UNREADABLE)]
)
async def test_analyze_photo_refuses_what_is_no_photo(
    stub: Any, photo: bytes, reason: Reason
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.AnalyzePhoto(wire.AnalyzePhotoRequest(photo=photo))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert explained(refused).reason is reason


async def test_get_model_names_the_files_and_what_runs_them(stub: Any, pack: LoadedPack) -> None:
    model = (await stub.GetModel(wire.GetModelRequest())).model

    assert (model.name, model.digest) == ("yunet-sface", pack.model.digest)
    assert (model.template_size, model.aligned_side_px) == (128, 112)
    assert [(file.role, file.licence) for file in model.files] == [
        ("detector", "MIT"),
        ("recogniser", "Apache-2.0"),
        ("centres", "Apache-2.0"),
    ]
    assert model.recogniser_runtime == "openvino/CPU"


class HostileDecoder(PillowPictureDecoder):
    """A decoder that photographs hold up."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def decode_photo(self, data: bytes) -> Photo:
        self.begun.set()
        self.go_on.wait(30)
        return super().decode_photo(data)


async def test_photos_that_take_long_keep_no_frame_or_face_waiting(
    pack: LoadedPack, photo: np.ndarray, photo_file: bytes
) -> None:
    decoder = HostileDecoder()
    request = wire.AnalyzePhotoRequest(photo=photo_file)
    face = np.ascontiguousarray(photo[:112, :112]).tobytes()
    async with serving(pack, decoder) as stub:
        hostile = [asyncio.ensure_future(stub.AnalyzePhoto(request)) for _ in range(2)]
        await asyncio.to_thread(decoder.begun.wait, 30)

        (found,) = await detect(stub, wire.DetectFacesRequest(frames=[frame(photo)]))
        embedded = await stub.EmbedFaces(wire.EmbedFacesRequest(aligned_faces=[face]))
        waiting = [call.done() for call in hostile]
        decoder.go_on.set()
        analysed = await asyncio.gather(*hostile)

    assert len(found.frames[0].faces) == 6
    assert len(embedded.templates) == 1
    assert waiting == [False, False]
    assert [len(one.faces) for one in analysed] == [6, 6]


async def test_more_photos_than_may_wait_are_refused(pack: LoadedPack, photo_file: bytes) -> None:
    decoder = HostileDecoder()
    request = wire.AnalyzePhotoRequest(photo=photo_file)
    async with serving(pack, decoder) as stub:
        calls = [asyncio.ensure_future(stub.AnalyzePhoto(request)) for _ in range(3)]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        decoder.go_on.set()
        await asyncio.gather(*waiting)

    (refused,) = done
    error = refused.exception()
    assert isinstance(error, grpc.aio.AioRpcError)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert translate(error, "embedding", "").reason is Reason.QUEUE_FULL
