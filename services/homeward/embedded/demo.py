"""`homeward demo`: the whole job on one machine, with the commands that a user would type."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import cv2
import grpc

from homeward.api.embedding.v1 import embedding_service_pb2, embedding_service_pb2_grpc
from homeward.cli import terminal
from homeward.embedded import demo_footage
from homeward.embedded.demo_counts import EngineCounts, count_engines, count_vectors
from homeward.embedded.demo_pictures import GROUP, demo_photos
from homeward.embedded.running import RunningStack, command
from homeward.matching.adapters.qdrant import APPEARANCE, PHOTO, SUBJECT

ENROLLED = 2
"""Which of the six people, from the left of the photograph, is missing; of two, the first."""


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Where footage and picture are left; what was there is replaced.",
)
def demo(*, folder: Path) -> None:
    """Find one of several people in street footage that is made on the spot.

    Starts a stack, enrols a person, uploads the footage, searches it, saves the candidate's
    picture, counts what every store holds of the others, and stops the stack.
    """
    began = time.monotonic()
    photos = demo_photos()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    data = folder / "data"
    with _stack(data) as stack:
        with stack.channel("embedding", as_service=True) as embedding:
            people = [
                (demo_footage.pixels(photo), box)
                for photo in photos
                for box in faces(photo, embedding)
            ]
        footage, reference = folder / "street.mp4", folder / "missing-person.jpg"
        _title(
            f"Making {demo_footage.seconds_for(len(people)):g} s of street footage, in which"
            f" {len(people)} people pass by"
        )
        missing = demo_footage.reference_photo(*people[ENROLLED % len(people)])
        cv2.imwrite(str(reference), missing)
        demo_footage.write_footage(footage, [demo_footage.cut_head(*person) for person in people])
        scan, sighting = _search(stack, footage, reference, folder)
        counts = count_engines(data)
        _title("Stopping the stack")
    held = count_vectors(data, collections=counts.collections)
    _print_counts(counts, held, scan, others=len(people) - 1)
    shutil.rmtree(data)
    terminal.tell_lines(
        [
            "",
            f"Look at the candidate's stills below the reference photograph: {sighting}",
            f"Nothing is left running. The demo took {time.monotonic() - began:.0f} s.",
        ]
    )


def _search(
    stack: RunningStack, footage: Path, reference: Path, folder: Path
) -> tuple[Mapping[str, Any], Path]:
    """Do what an investigator does; return the scan and where the picture is."""
    start = (datetime.now(UTC) - timedelta(hours=3)).strftime("%Y-%m-%dT%H:00:00Z")
    _title("Enrolling the missing person")
    _run(stack, "subject", "add", "--case", "DEMO-1", "--label", "Missing person", str(reference))
    _title("Adding a camera and its recording")
    _run(stack, "camera", "add", "high-street", "--place", "High Street, by the station")
    _run(stack, "footage", "add", str(footage), "--camera", "high-street", "--start", start)
    _title("Searching")
    _run(stack, "search")
    scans = stack.cli("scan", "list")["scans"]
    sightings = stack.cli("sighting", "list").get("sightings", [])
    if not sightings:
        raise click.ClickException(
            f"the search found nobody; its logs are in {stack.data / 'logs'}"
        )
    _title("Looking at the candidate")
    picture = folder / "sighting.png"
    _run(stack, "sighting", "show", sightings[0]["sightingId"], "--save", str(picture))
    return scans[0], picture


def _print_counts(
    counts: EngineCounts, vectors: Mapping[str, int], scan: Mapping[str, Any], *, others: int
) -> None:
    progress = scan["progress"]
    _title("What is stored, and of whom")
    appearances = int(progress.get("appearanceCount", 0))
    discarded = int(progress.get("discardedAppearanceCount", 0))
    terminal.tell(
        f"  {progress.get('faceCount', 0)} faces in {progress.get('frameCount', 0)} pictures were"
        f" {appearances} appearances; forgotten at once, as they matched nobody: {discarded}."
    )
    rows = [
        ("Qdrant", "templates of photographs", vectors[PHOTO], "the missing person"),
        ("Qdrant", "templates of subjects", vectors[SUBJECT], "the missing person"),
        ("Qdrant", "candidate sightings", vectors[APPEARANCE], "the missing person"),
        ("S3", "reference photographs", counts.photographs, "the missing person"),
        ("S3", "stills (nobody else recognisable)", counts.stills, "the missing person"),
        ("S3", "recordings, gone in 31 days", counts.recordings, "everybody in the street"),
        ("S3", "when and where faces were in them", counts.presence, "everybody, not by person"),
        ("NATS", "subject records", counts.subjects, "the missing person"),
        ("NATS", "time spans with a sighting", counts.spans, "the missing person"),
        ("NATS", "scan messages that wait", counts.messages, "nobody: ids only"),
    ]
    terminal.tell_lines(["", f"  {'store':<8}{'what':<36}{'count':>5}   of whom"])
    for store, what, count, whom in rows:
        terminal.tell(f"  {store:<8}{what:<36}{count:>5}   {whom}")
    theirs = counts.photographs + counts.subjects + counts.spans
    of_others = sum(vectors.values()) - theirs
    whom = "the other person" if others == 1 else f"the other {others} people"
    terminal.tell_lines(
        [
            "",
            f"  Of {whom}: {max(of_others, 0)} templates, {counts.unexpected} crops.",
            f"  What is left: {discarded} in a count; and as long as the recording is there, when",
            "  and where in it some face was seen.",
        ]
    )


def street(folder: Path, embedding: grpc.Channel) -> demo_footage.Street:
    """Write footage in which the six people of the photograph walk by, and a portrait of each.

    Args:
        folder: For the files.
        embedding: Channel to the service that finds them, as a service.
    """
    photo = group_photo()
    return demo_footage.write_street(folder, photo, faces(photo, embedding))


def group_photo() -> bytes:
    """Return the photograph of six people, which a checkout has: for tests and benches.

    Raises:
        FileNotFoundError: The package that ships it is not installed.
    """
    photo = GROUP.read()
    if photo is None:
        raise FileNotFoundError(f"{GROUP.ending} of the package {GROUP.distribution}: run `make`")
    return photo


def faces(photo: bytes, embedding: grpc.Channel) -> list[demo_footage.FaceBox]:
    """Ask the embedding service, over a channel to it, where the faces are; from left to right."""
    stub = embedding_service_pb2_grpc.EmbeddingServiceStub(embedding)
    request = embedding_service_pb2.AnalyzePhotoRequest(photo=photo)
    answer = stub.AnalyzePhoto(request, timeout=30)
    boxes = [
        demo_footage.FaceBox(face.box.x, face.box.y, face.box.width, face.box.height)
        for face in answer.faces
    ]
    return sorted(boxes, key=lambda box: box.x)


def _stack(data: Path) -> RunningStack:
    _title(f"$ homeward up --data {data} --evaluation")
    try:
        return RunningStack(data, {})
    except RuntimeError as error:
        raise click.ClickException(f"{error}; see above") from error


def _run(stack: RunningStack, *arguments: str) -> None:
    """Run a command as the user would, and show it."""
    terminal.tell()
    terminal.tell("$ homeward " + shlex.join(arguments), bold=True)
    sys.stdout.flush()
    done = subprocess.run(  # noqa: S603 - our own command
        command(*arguments), env=stack.environment, check=False
    )
    if done.returncode != 0:
        raise click.ClickException(f"that failed with exit code {done.returncode}")


def _title(text: str) -> None:
    terminal.tell()
    terminal.tell(text, colour="cyan", bold=True)
    sys.stdout.flush()
