"""Signed packages of sightings: having one made, and writing it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import click

from homeward.api.ingestion.v1 import clip_service_pb2
from homeward.api.matching.v1 import export_service_pb2, sighting_pb2, sighting_service_pb2
from homeward.api.matching.v1.export_service_pb2_grpc import ExportServiceStub
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import clips, disclosure, reviews, times
from homeward.cli.errors import CallError, CliError, ExitCode, confirm_first, tell
from homeward.cli.files import refuse_existing, write_new
from homeward.cli.options import Session

_WITHOUT_CLIP = {
    "FOOTAGE_NOT_FOUND": "the recording is not held any more",
    "FOOTAGE_EXPIRED": "the recording is not held any more",
    "FOOTAGE_UNREADABLE": "the recording cannot be decoded there",
    "CLIP_TOO_LONG": "the appearance is longer than a clip may be",
}
"""Reasons for which a package has no clip, and is made all the same; as part of a sentence."""

_UNAPPROVED = (
    "have a policy approved (`homeward policy approve`) and search the recording again; or give it"
    " out marked as not for use, with --unapproved"
)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be given out, and to whom."""

    sighting_id: str
    recipient: str
    with_clip: bool
    unapproved: bool


def export(session: Session, order: Order, file: Path, *, force: bool) -> None:
    """Give a sighting out as a package, and print what is in it.

    Raises:
        CliError: It is not confirmed, or is there already; or it did not come as it was signed.
    """
    if file.suffix.lower() != ".zip":
        raise click.UsageError("-o names the package: a FILE.zip")
    refuse_existing(file, force=force)
    sighting = _sighting(session, order)
    clip, reason = _clip(session, order)
    sealed = _sealed(session, order, clip, reason)
    data = _packed(sealed, clip)
    write_new(file, data, force=force)
    digest = hashlib.sha256(data).hexdigest()
    if session.view.json:
        document = {
            "file": str(file),
            "sha256": digest,
            "verifierKey": sealed.verifier_key,
            "recipient": order.recipient,
            "noClipReason": reason,
            "sighting": sealed.sighting,
        }
        session.view.document(document)
    session.view.say(f"Package: {file}, for {order.recipient}")
    session.view.say(f"Confirmed by: {', '.join(reviews.confirmers(sealed.sighting))}")
    for line in _sentences(sighting, clip, reason):
        session.view.say(line)
    session.view.say(f"SHA-256 of the file: {digest}")
    session.view.say(
        "The recipient needs this key to check the package. Do not send it with the file; tell it"
        " by another way, such as by telephone:"
    )
    session.view.say(sealed.verifier_key)


def _sighting(session: Session, order: Order) -> sighting_pb2.Sighting:
    """Return the sighting; refuse one that may not be given out before a clip is made of it."""
    stub = SightingServiceStub(session.connections.channel("matching"))
    request = sighting_service_pb2.GetSightingRequest(sighting_id=order.sighting_id)
    sighting = stub.GetSighting(request).sighting
    if sighting.state != sighting_pb2.Sighting.STATE_CONFIRMED:
        raise CliError(
            f"sighting {order.sighting_id} is {reviews.state(sighting)}; only a confirmed one may"
            " be given out",
            exit_code=ExitCode.PRECONDITION,
            reason="SIGHTING_NOT_CONFIRMED",
            advice=confirm_first(order.sighting_id),
        )
    if not (disclosure.is_approved(sighting) or order.unapproved):
        raise CliError(
            f"sighting {order.sighting_id} was found by policy {sighting.policy_id}, which nobody"
            " had approved. Nobody may act on it, so it is not given out",
            exit_code=ExitCode.PRECONDITION,
            reason="POLICY_NOT_APPROVED",
            advice=_UNAPPROVED,
        )
    return sighting


def _clip(session: Session, order: Order) -> tuple[clips.MadeClip | None, str]:
    """Return the clip, or why there is none."""
    if not order.with_clip:
        return None, "the sender left it out"
    request = clip_service_pb2.RenderClipRequest(sighting_id=order.sighting_id, burn_time=True)
    try:
        clip = clips.made_clip(session, request)
    except CallError as error:
        reason = _WITHOUT_CLIP.get(error.reason)
        if reason is None:
            raise
        tell(error, about="the package has no clip")
        return None, reason
    if not clip.clip.record:
        return None, "there is no key to sign it with"
    return clip, ""


def _sealed(
    session: Session, order: Order, clip: clips.MadeClip | None, reason: str
) -> export_service_pb2.SealPackageResponse:
    request = export_service_pb2.SealPackageRequest(
        sighting_id=order.sighting_id,
        recipient=order.recipient,
        unapproved=order.unapproved,
        clip_record=clip.clip.record if clip else b"",
        clip_note=clip.clip.note if clip else "",
        no_clip_reason=reason,
    )
    try:
        return ExportServiceStub(session.connections.channel("matching")).SealPackage(request)
    except CallError as error:
        raise explained(error) from None


def _packed(sealed: export_service_pb2.SealPackageResponse, clip: clips.MadeClip | None) -> bytes:
    from homeward.core import export_package as package  # noqa: PLC0415 - cryptography is slow to import

    files = {
        package.MANIFEST: sealed.manifest,
        package.NOTE: sealed.note.encode(),
        package.KEY: f"{sealed.verifier_key}\n".encode(),
        package.SUMMARY: sealed.summary,
        **{package.still_name(number): one for number, one in enumerate(sealed.stills, 1)},
        **({package.CLIP: clip.file} if clip else {}),
    }
    try:
        data = package.package_of(files)
    except package.PackageError as error:
        raise CliError(f"the package {error}", advice="leave the clip out: --no-clip") from error
    broken = [one for one in package.verify_package(data).findings if not one.holds]
    if broken:
        raise CliError(
            f"the package that the service made is not in order: {broken[0].sentence}",
            exit_code=ExitCode.INTERNAL,
        )
    return data


def _sentences(
    sighting: sighting_pb2.Sighting, clip: clips.MadeClip | None, reason: str
) -> list[str]:
    lines = clips.sentences(clip.clip) if clip else [f"Without a clip: {reason}."]
    if not disclosure.is_approved(sighting):
        lines.append(f"Policy {sighting.policy_id} is {disclosure.policy_state(sighting)}.")
    if sighting.time_uncertain:
        lines.append(times.UNCERTAIN)
    return lines


def explained(error: CallError) -> CallError:
    """Return the refusal of an export, with what can be done about it."""
    if error.reason == "POLICY_NOT_APPROVED":
        error.advice = _UNAPPROVED
    return error
