"""Counting what the engines of a stack hold, by asking the engines themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nats
from minio import Minio
from qdrant_client import QdrantClient

from homeward.embedded.nats import nats_url
from homeward.embedded.ports import FILE_NAME
from homeward.embedded.running import object_store
from homeward.embedded.secrets import load_secrets
from homeward.ingestion.usecases.footage import TIMELINE
from homeward.matching.adapters.qdrant import SIGHTING_KINDS, SUBJECT_KINDS


@dataclass(frozen=True, slots=True)
class EngineCounts:
    """How many things S3 and NATS hold."""

    photographs: int
    stills: int
    recordings: int
    unexpected: int
    """Objects that are none of these, nor a recording's own description."""
    subjects: int
    spans: int
    messages: int


def count_engines(data: Path) -> EngineCounts:
    """Ask S3 and NATS of a running stack.

    Args:
        data: The stack's folder.
    """
    secrets = load_secrets(data / "secrets", gallery=data / "qdrant")
    ports = json.loads((data / FILE_NAME).read_text())
    objects = _objects(object_store(data))
    streams = asyncio.run(_streams(nats_url(port=ports["nats"], token=secrets.nats_token)))
    photographs = objects.get("homeward-subjects", [])
    stills = objects.get("homeward-evidence", [])
    footage = objects.get("homeward-footage", [])
    recordings = [key for key in footage if key.endswith("/original")]
    beside = (".json", f"/{TIMELINE}")
    known = [key for key in footage if key.startswith("by-sha256/") or key.endswith(beside)]
    everything = sum(len(keys) for keys in objects.values())
    return EngineCounts(
        photographs=len(photographs),
        stills=len(stills),
        recordings=len(recordings),
        unexpected=everything - len(photographs) - len(stills) - len(recordings) - len(known),
        subjects=streams.get("KV_SUBJECTS", 0),
        spans=streams.get("KV_SIGHTINGS", 0),
        messages=streams.get("SCAN_WORK", 0),
    )


def count_vectors(data: Path) -> Mapping[str, int]:
    """Count the vectors of a stopped stack's Qdrant, by their kind.

    Args:
        data: The stack's folder.
    """
    client = QdrantClient(path=str(data / "qdrant"))
    try:
        counts = dict.fromkeys((*SUBJECT_KINDS, *SIGHTING_KINDS), 0)
        for collection in client.get_collections().collections:
            for point in client.scroll(collection.name, limit=10**6, with_vectors=True)[0]:
                assert isinstance(point.vector, dict), "all of them have a kind"
                for kind in point.vector:
                    counts[kind] += 1
    finally:
        client.close()
    return counts


def _objects(client: Minio) -> dict[str, list[str]]:
    return {
        bucket.name: [
            item.object_name or "" for item in client.list_objects(bucket.name, recursive=True)
        ]
        for bucket in client.list_buckets()
    }


async def _streams(url: str) -> dict[str, int]:
    client = await nats.connect(url)
    try:
        infos = await client.jetstream().streams_info()
    finally:
        await client.close()
    return {str(info.config.name): info.state.messages for info in infos}
