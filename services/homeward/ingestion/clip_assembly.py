"""Construction of what makes clips, in the API role of ingestion."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack

from homeward.ingestion.adapters.clip_encoder import X264ClipEncoder
from homeward.ingestion.adapters.clip_images import CvClipImages
from homeward.ingestion.adapters.embedding import IDEMPOTENT, GrpcFaceFinder
from homeward.ingestion.adapters.images import CvFaceImages
from homeward.ingestion.adapters.media import CagedFrameSource
from homeward.ingestion.assembly import Parts
from homeward.ingestion.clip.making import ClipMaking, ClipParts
from homeward.ingestion.scan.compare import Comparer
from homeward.ingestion.settings import IngestionSettings
from homeward.servicekit.clients import open_channel
from homeward.servicekit.executor import BoundedExecutor

PICTURES_WAITING = 64
"""Calls of one clip that wait for a thread: more than are made at a time."""


async def open_clips(
    settings: IngestionSettings, parts: Parts, stack: AsyncExitStack
) -> ClipMaking | None:
    """Open what makes clips; None where nothing says where faces are found.

    Args:
        settings: Where the embedding service is, and how many clips are made at a time.
        parts: The opened parts.
        stack: Closes what is opened.
    """
    if not settings.embedding_target:
        return None
    at_once, cores = settings.concurrent_clips, os.cpu_count() or 1
    decoding = await stack.enter_async_context(
        BoundedExecutor("clip-decode", workers=at_once, queue=at_once)
    )
    pictures = await stack.enter_async_context(
        BoundedExecutor("clip-pictures", workers=cores, queue=at_once * PICTURES_WAITING)
    )
    channel = await stack.enter_async_context(
        open_channel(settings.embedding_target, idempotent=IDEMPOTENT, tls=settings.tls)
    )
    source = CagedFrameSource(decoding, decoders=1)
    stack.callback(source.close)
    faces, images = GrpcFaceFinder(channel, settings.embedding_target), CvFaceImages()
    return ClipMaking(
        ClipParts(
            sightings=parts.matcher,
            matcher=parts.matcher,
            footage=parts.footage.library,
            source=source,
            faces=faces,
            comparer=Comparer(faces=faces, images=images, matcher=parts.matcher, executor=pictures),
            images=images,
            painter=CvClipImages(),
            encoder=X264ClipEncoder(),
            executor=pictures,
        ),
        at_once=at_once,
    )
