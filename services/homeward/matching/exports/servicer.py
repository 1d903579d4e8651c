"""Packages on the wire."""

from __future__ import annotations

import json
from typing import Any

import grpc

from homeward.api.matching.v1 import export_service_pb2, export_service_pb2_grpc
from homeward.matching.convert import sightings as convert_sightings
from homeward.matching.exports.sealing import Exports, PackageOrder, SealedClip
from homeward.matching.sightings.review import SightingReview
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field
from homeward.servicekit.server import Service

MAX_RECIPIENT = 200
MAX_REASON = 500
"""Characters."""
MAX_RECORD_BYTES = 16 * 1024

Context = grpc.aio.ServicerContext[Any, Any]


class ExportServicer(export_service_pb2_grpc.ExportServiceServicer):
    """`homeward.api.matching.v1.ExportService`."""

    def __init__(self, exports: Exports, review: SightingReview) -> None:
        self._exports = exports
        self._review = review

    async def SealClip(
        self, request: export_service_pb2.SealClipRequest, _: Context
    ) -> export_service_pb2.SealClipResponse:
        sighting_id = wire.uuid_text(request.sighting_id, "sighting_id")
        told = _clip_from(request.clip)
        sealed = self._exports.seal_clip(await self._review.get(sighting_id), told)
        return export_service_pb2.SealClipResponse(record=sealed.record, note=sealed.note)

    async def SealPackage(
        self, request: export_service_pb2.SealPackageRequest, _: Context
    ) -> export_service_pb2.SealPackageResponse:
        sighting_id = wire.uuid_text(request.sighting_id, "sighting_id")
        order = _order_from(request)
        self._exports.require_fit(await self._review.get(sighting_id), order)
        sighting, _still = await self._review.export(sighting_id, unapproved=request.unapproved)
        stills = await self._review.stills(sighting)
        sealed = await self._exports.seal(sighting, stills, order)
        return export_service_pb2.SealPackageResponse(
            sighting=convert_sightings.to_sighting(sighting, self._review.rules),
            stills=sealed.stills,
            summary=sealed.summary,
            manifest=sealed.manifest,
            note=sealed.note,
            verifier_key=sealed.verifier_key,
        )

    def service(self) -> Service:
        """Return it as a server takes it."""
        return Service(
            "homeward.api.matching.v1.ExportService",
            export_service_pb2_grpc.add_ExportServiceServicer_to_server,
            self,
        )


def _order_from(request: export_service_pb2.SealPackageRequest) -> PackageOrder:
    if bool(request.clip_record) is not bool(request.clip_note):
        raise invalid_field("clip_note", "goes with clip_record, and that with it")
    if len(request.clip_record) > MAX_RECORD_BYTES or len(request.clip_note) > MAX_RECORD_BYTES:
        raise invalid_field("clip_record", f"has more than {MAX_RECORD_BYTES} bytes")
    return PackageOrder(
        recipient=wire.one_line(request.recipient, "recipient", least=1, most=MAX_RECIPIENT),
        clip=SealedClip(request.clip_record, request.clip_note) if request.clip_record else None,
        no_clip_reason=wire.one_line(request.no_clip_reason, "no_clip_reason", most=MAX_REASON),
    )


def _clip_from(data: bytes) -> dict[str, Any]:
    """Return what is said of a clip."""
    if not 0 < len(data) <= MAX_RECORD_BYTES:
        raise invalid_field("clip", f"must have 1 to {MAX_RECORD_BYTES} bytes")
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise invalid_field("clip", "is no JSON") from error
    if not isinstance(told, dict) or not all(
        isinstance(one, str) or type(one) is int for one in told.values()
    ):
        raise invalid_field("clip", "is no JSON object of strings and whole numbers")
    return told
