"""Ingestion on the wire: requests to use cases, results to responses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from homeward.api.ingestion.v1 import (
    camera_service_pb2,
    camera_service_pb2_grpc,
    clip_service_pb2,
    clip_service_pb2_grpc,
    footage_service_pb2,
    footage_service_pb2_grpc,
    scan_service_pb2,
    scan_service_pb2_grpc,
)
from homeward.core.recordings import MAX_URL_BYTES
from homeward.ingestion.cameras.catalogue import CameraFootage, Cameras
from homeward.ingestion.clip.making import ClipMaking
from homeward.ingestion.clip.model import ClipProgress
from homeward.ingestion.convert import cameras as convert_cameras
from homeward.ingestion.convert import clips as convert_clips
from homeward.ingestion.convert import footage as convert_footage
from homeward.ingestion.convert import scans as convert_scans
from homeward.ingestion.footage.finding import FootageFilter
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.scan.resource import ScanResource
from homeward.ingestion.scan.scans import newest_first
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field, unavailable
from homeward.servicekit.paging import PageQuery, page, page_by
from homeward.servicekit.server import Service

Context = grpc.aio.ServicerContext[Any, Any]


class CameraServicer(camera_service_pb2_grpc.CameraServiceServicer):
    """`homeward.api.ingestion.v1.CameraService`."""

    def __init__(self, cameras: Cameras, footage: CameraFootage) -> None:
        self._cameras = cameras
        self._footage = footage

    async def CreateCamera(
        self, request: camera_service_pb2.CreateCameraRequest, _: Context
    ) -> camera_service_pb2.CreateCameraResponse:
        camera, etag = await self._cameras.create(
            convert_cameras.camera_id_from(request.camera.camera_id, "camera.camera_id"),
            convert_cameras.camera_from(request.camera),
        )
        return camera_service_pb2.CreateCameraResponse(
            camera=convert_cameras.to_camera(camera, etag)
        )

    async def GetCamera(
        self, request: camera_service_pb2.GetCameraRequest, _: Context
    ) -> camera_service_pb2.GetCameraResponse:
        camera, etag = await self._cameras.get(
            convert_cameras.camera_id_from(request.camera_id, "camera_id")
        )
        return camera_service_pb2.GetCameraResponse(camera=convert_cameras.to_camera(camera, etag))

    async def ListCameras(
        self, request: camera_service_pb2.ListCamerasRequest, _: Context
    ) -> camera_service_pb2.ListCamerasResponse:
        items, token = page(request, await self._cameras.find())
        return camera_service_pb2.ListCamerasResponse(
            cameras=[convert_cameras.to_camera(camera, etag) for camera, etag in items],
            next_page_token=token,
        )

    async def UpdateCamera(
        self, request: camera_service_pb2.UpdateCameraRequest, _: Context
    ) -> camera_service_pb2.UpdateCameraResponse:
        paths = wire.mask_paths(
            request.update_mask, "update_mask", convert_cameras.UPDATABLE_CAMERA
        )
        camera, etag = await self._cameras.update(
            convert_cameras.camera_id_from(request.camera.camera_id, "camera.camera_id"),
            convert_cameras.camera_change(request.camera, paths),
            etag=request.camera.etag,
        )
        return camera_service_pb2.UpdateCameraResponse(
            camera=convert_cameras.to_camera(camera, etag)
        )

    async def DeleteCamera(
        self, request: camera_service_pb2.DeleteCameraRequest, _: Context
    ) -> camera_service_pb2.DeleteCameraResponse:
        await self._cameras.delete(
            convert_cameras.camera_id_from(request.camera_id, "camera_id"), self._footage
        )
        return camera_service_pb2.DeleteCameraResponse()


class FootageServicer(footage_service_pb2_grpc.FootageServiceServicer):
    """`homeward.api.ingestion.v1.FootageService`."""

    def __init__(self, footage: FootageResource) -> None:
        self._footage = footage

    async def UploadFootage(
        self,
        request_iterator: AsyncIterator[footage_service_pb2.UploadFootageRequest],
        _: Context,
    ) -> footage_service_pb2.UploadFootageResponse:
        first = await self._footage.uploads.first(request_iterator)
        if first is None or first.WhichOneof("payload") != "header":
            raise invalid_field("header", "must be the first message of an upload")
        request_id, header = convert_footage.header_from(first.header)
        chunks = (convert_footage.chunk_from(request) async for request in request_iterator)
        footage, held = await self._footage.uploads.upload(
            request_id, header, first.header.offset_bytes, chunks
        )
        return footage_service_pb2.UploadFootageResponse(
            footage=convert_footage.to_footage(footage), already_held=held
        )

    async def GetUpload(
        self, request: footage_service_pb2.GetUploadRequest, _: Context
    ) -> footage_service_pb2.GetUploadResponse:
        request_id = wire.request_id(request.request_id, "request_id", required=True)
        return footage_service_pb2.GetUploadResponse(
            committed_size_bytes=await self._footage.uploads.committed(request_id)
        )

    async def CreateUploadUrl(
        self, request: footage_service_pb2.CreateUploadUrlRequest, _: Context
    ) -> footage_service_pb2.CreateUploadUrlResponse:
        wire.require(request, "header", "header")
        if request.header.offset_bytes:
            raise invalid_field("header.offset_bytes", "must be 0: a URL takes the whole file")
        request_id, header = convert_footage.header_from(request.header, most=MAX_URL_BYTES)
        answer = await self._footage.uploads.upload_url(request_id, header)
        if isinstance(answer, Footage):
            return footage_service_pb2.CreateUploadUrlResponse(
                existing_footage=convert_footage.to_footage(answer)
            )
        url, expires = answer
        return footage_service_pb2.CreateUploadUrlResponse(
            url=url, expire_time=wire.to_timestamp(expires)
        )

    async def CompleteUpload(
        self, request: footage_service_pb2.CompleteUploadRequest, _: Context
    ) -> footage_service_pb2.CompleteUploadResponse:
        request_id = wire.request_id(request.request_id, "request_id", required=True)
        footage = await self._footage.uploads.complete_upload(request_id)
        return footage_service_pb2.CompleteUploadResponse(
            footage=convert_footage.to_footage(footage)
        )

    async def GetFootage(
        self, request: footage_service_pb2.GetFootageRequest, _: Context
    ) -> footage_service_pb2.GetFootageResponse:
        footage = await self._footage.library.get(
            convert_footage.footage_id_from(request.footage_id, "footage_id")
        )
        return footage_service_pb2.GetFootageResponse(footage=convert_footage.to_footage(footage))

    async def ListFootage(
        self, request: footage_service_pb2.ListFootageRequest, _: Context
    ) -> footage_service_pb2.ListFootageResponse:
        start, end = wire.from_interval(request, "interval")
        cameras = [
            convert_cameras.camera_id_from(name, f"camera_ids[{index}]")
            for index, name in enumerate(request.camera_ids)
        ]
        query = PageQuery.of(request)
        found = await self._footage.library.finder.page(
            FootageFilter(tuple(cameras), start, end), size=query.size, after=query.after
        )
        return footage_service_pb2.ListFootageResponse(
            footage=[convert_footage.to_listed(footage) for footage in found.footage],
            next_page_token=query.token(found.next_place) if found.next_place else "",
        )

    async def DeleteFootage(
        self, request: footage_service_pb2.DeleteFootageRequest, _: Context
    ) -> footage_service_pb2.DeleteFootageResponse:
        await self._footage.eraser.delete(
            convert_footage.footage_id_from(request.footage_id, "footage_id")
        )
        return footage_service_pb2.DeleteFootageResponse()

    async def GetRetentionReport(
        self, _request: footage_service_pb2.GetRetentionReportRequest, _: Context
    ) -> footage_service_pb2.GetRetentionReportResponse:
        return convert_footage.to_report(await self._footage.reporter.report())


class ScanServicer(scan_service_pb2_grpc.ScanServiceServicer):
    """`homeward.api.ingestion.v1.ScanService`."""

    def __init__(self, scans: ScanResource) -> None:
        self._scans = scans.scans
        self._authorising = scans.authorising
        self._stretches = scans.stretches
        self._records = scans.records

    async def CreateScan(
        self, request: scan_service_pb2.CreateScanRequest, _: Context
    ) -> scan_service_pb2.CreateScanResponse:
        scan, summary = await self._scans.create(
            convert_scans.scope_from(request.scope),
            convert_scans.justification_from(request.justification),
            request_id=wire.request_id(request.request_id, "request_id"),
            requester=convert_scans.name_from(request.requester, "requester"),
        )
        return scan_service_pb2.CreateScanResponse(scan=convert_scans.to_scan(scan, summary))

    async def GetScan(
        self, request: scan_service_pb2.GetScanRequest, _: Context
    ) -> scan_service_pb2.GetScanResponse:
        scan, summary = await self._scans.get(wire.uuid_text(request.scan_id, "scan_id"))
        return scan_service_pb2.GetScanResponse(scan=convert_scans.to_scan(scan, summary))

    async def ListScans(
        self, request: scan_service_pb2.ListScansRequest, _: Context
    ) -> scan_service_pb2.ListScansResponse:
        states = convert_scans.states_from(request.states)
        found = [one for one in await self._scans.find() if not states or one[1].state in states]
        items, token = page_by(request, found, lambda one: newest_first(one[0]))
        return scan_service_pb2.ListScansResponse(
            scans=[convert_scans.to_scan(scan, summary) for scan, summary in items],
            next_page_token=token,
        )

    async def ListIncomparableStretches(
        self, request: scan_service_pb2.ListIncomparableStretchesRequest, _: Context
    ) -> scan_service_pb2.ListIncomparableStretchesResponse:
        scan_id = wire.uuid_text(request.scan_id, "scan_id")
        found = await self._stretches.of(scan_id)
        items, token = page(request, found.stretches)
        return scan_service_pb2.ListIncomparableStretchesResponse(
            incomparable_stretches=[convert_scans.to_stretch(one) for one in items],
            next_page_token=token,
            unlisted_footage=(
                []
                if request.page_token
                else [convert_scans.to_unlisted(one) for one in found.unlisted]
            ),
        )

    async def CancelScan(
        self, request: scan_service_pb2.CancelScanRequest, _: Context
    ) -> scan_service_pb2.CancelScanResponse:
        scan, summary = await self._scans.cancel(wire.uuid_text(request.scan_id, "scan_id"))
        return scan_service_pb2.CancelScanResponse(scan=convert_scans.to_scan(scan, summary))

    async def AuthoriseScan(
        self, request: scan_service_pb2.AuthoriseScanRequest, _: Context
    ) -> scan_service_pb2.AuthoriseScanResponse:
        scan, summary = await self._authorising.authorise(
            wire.uuid_text(request.scan_id, "scan_id"),
            reference=convert_scans.reference_from(request.reference),
            authoriser=convert_scans.name_from(request.authoriser, "authoriser"),
        )
        return scan_service_pb2.AuthoriseScanResponse(scan=convert_scans.to_scan(scan, summary))

    async def RefuseScan(
        self, request: scan_service_pb2.RefuseScanRequest, _: Context
    ) -> scan_service_pb2.RefuseScanResponse:
        scan, summary = await self._authorising.refuse(
            wire.uuid_text(request.scan_id, "scan_id"),
            reason=convert_scans.reason_from(request.reason),
            authoriser=convert_scans.name_from(request.authoriser, "authoriser"),
        )
        return scan_service_pb2.RefuseScanResponse(scan=convert_scans.to_scan(scan, summary))

    async def GetUseRecord(
        self, request: scan_service_pb2.GetUseRecordRequest, _: Context
    ) -> scan_service_pb2.GetUseRecordResponse:
        made = await self._records.of(wire.uuid_text(request.scan_id, "scan_id"))
        return scan_service_pb2.GetUseRecordResponse(
            record=made.record, note=made.note, verifier_key=made.verifier_key
        )

    async def WatchScan(
        self, request: scan_service_pb2.WatchScanRequest, _: Context
    ) -> AsyncIterator[scan_service_pb2.WatchScanResponse]:
        scan_id = wire.uuid_text(request.scan_id, "scan_id")
        async with aclosing(self._scans.watch(scan_id)) as changes:
            async for change in changes:
                for candidate in change.candidates:
                    yield scan_service_pb2.WatchScanResponse(
                        candidate=convert_scans.to_candidate(candidate)
                    )
                yield scan_service_pb2.WatchScanResponse(
                    scan=convert_scans.to_scan(change.scan, change.summary)
                )


class ClipServicer(clip_service_pb2_grpc.ClipServiceServicer):
    """`homeward.api.ingestion.v1.ClipService`."""

    def __init__(self, clips: ClipMaking | None) -> None:
        self._clips = clips

    async def RenderClip(
        self, request: clip_service_pb2.RenderClipRequest, _: Context
    ) -> AsyncIterator[clip_service_pb2.RenderClipResponse]:
        wanted = convert_clips.request_from(request)
        if self._clips is None:
            raise unavailable(
                "embedding", "an unknown address", "HOMEWARD_EMBEDDING_TARGET is unset"
            )
        async with aclosing(self._clips.make(wanted)) as steps:
            async for step in steps:
                if isinstance(step, ClipProgress):
                    yield convert_clips.to_progress(step)
                    continue
                for message in convert_clips.to_messages(step):
                    yield message


def services(
    *,
    cameras: Cameras,
    footage: FootageResource,
    scans: ScanResource,
    clips: ClipMaking | None = None,
) -> list[Service]:
    """Return what the ingestion server serves."""
    package = "homeward.api.ingestion.v1"
    return [
        Service(
            f"{package}.CameraService",
            camera_service_pb2_grpc.add_CameraServiceServicer_to_server,
            CameraServicer(cameras, footage.uploads),
        ),
        Service(
            f"{package}.FootageService",
            footage_service_pb2_grpc.add_FootageServiceServicer_to_server,
            FootageServicer(footage),
        ),
        Service(
            f"{package}.ScanService",
            scan_service_pb2_grpc.add_ScanServiceServicer_to_server,
            ScanServicer(scans),
        ),
        Service(
            f"{package}.ClipService",
            clip_service_pb2_grpc.add_ClipServiceServicer_to_server,
            ClipServicer(clips),
        ),
    ]
