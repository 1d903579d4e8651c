"""`python -m homeward.embedding`: the embedding service."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack

import cv2

from homeward.core.packs import PackError
from homeward.embedding.adapters.caged_pictures import PHOTOS_WAITING, CagedPictureDecoder
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.metrics import tell_model
from homeward.embedding.servicer import EmbeddingServicer
from homeward.embedding.settings import EmbeddingSettings
from homeward.embedding.usecases import AnalyzePhoto, DetectFaces, EmbedFaces
from homeward.servicekit.cage import CageNotStartedError
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.hardening import forbid_dumps
from homeward.servicekit.observing import observed
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.startup import give_back_freed_memory, run


async def serve(settings: EmbeddingSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    # Before the port is bound: who can connect finds models that have answered once.
    pack = load_configured(settings)
    tell_model(pack.model, threads=settings.inference_threads)
    give_back_freed_memory()  # loading models leaves 40 MB of it
    # Each call has a thread already; OpenCV's own would contend with them.
    cv2.setNumThreads(1)
    async with AsyncExitStack() as stack:
        decoder = stack.enter_context(CagedPictureDecoder())
        executor = await stack.enter_async_context(
            BoundedExecutor(
                "embedding", workers=settings.inference_threads, queue=settings.queue_limit
            )
        )
        # One at a time, as the decoder takes them.
        photo_executor = await stack.enter_async_context(
            BoundedExecutor("photographs", workers=1, queue=PHOTOS_WAITING)
        )
        servicer = EmbeddingServicer(
            detect=DetectFaces(decoder, pack.detector),
            embed=EmbedFaces(pack.recogniser),
            analyze=AnalyzePhoto(decoder, pack.detector, pack.recogniser),
            model=pack.model,
            executor=executor,
            photo_executor=photo_executor,
            batches_in_flight=settings.batches_in_flight,
        )
        server = GrpcServer.configured(
            settings,
            [servicer.service()],
            checks={},
        )
        await server.run()


if __name__ == "__main__":
    settings = EmbeddingSettings()
    forbid_dumps()
    try:
        with observed("embedding", settings):
            run(serve(settings))
    except (PackError, CageNotStartedError) as error:
        sys.exit(f"embedding: {error}")
