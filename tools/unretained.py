"""`make prove-unretained`: look for strangers in everything that Homeward has written.

Runs a stack on street footage in which six people walk by. Two of them are looked for, one sighting
is confirmed and one rejected; the other four are strangers. The processes that decode are
killed while they do so. Then every byte of every store, log, queue, temporary file, memory dump and
named shared memory is searched for the strangers' templates and faces. A search that finds nothing
proves nothing unless it would have found something: copies of one stranger are planted, in all
forms and places, and must be found.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import nats
import numpy as np
from numpy.typing import NDArray

from byte_search import ByteSearch, Hit, Sought, best_of
from homeward.core import fusing
from homeward.core.inventory import (
    FOOTAGE,
    GALLERIES,
    INVENTORY,
    PHOTOGRAPHS,
    STILLS,
    SUBJECTS,
    Engine,
)
from homeward.core.vision.alignment import align
from homeward.embedded import demo, demo_footage
from homeward.embedded.files import make_private_folder
from homeward.embedded.nats import nats_url
from homeward.embedded.ports import FILE_NAME
from homeward.embedded.running import RunningStack, object_store
from homeward.embedded.secrets import Secrets, load_secrets
from homeward.embedding.adapters.pack import load_pack
from homeward.embedding.ports import LoadedPack
from homeward.matching.gallery import keying
from homeward.matching.gallery.register import CollectionRecord
from homeward.servicekit import records

LOOKED_FOR = (2, 4)
SAME_PERSON = 0.4
"""Cosine from which somebody in the street is one of the portraits: the six are not alike."""

ENCRYPTED = ".dat"
"""Files of the object store's volumes: encrypted, so that raw crops are not looked for in them.
What they hold is read through the store's own interface."""

CAGE = "homeward.ingestion.cage"
BUSY_TICKS = 30
"""Processor time of a cage, in hundredths of a second, from which on it has decoded pictures."""

LOOK_SECONDS = 0.02
"""Between two looks for processes that decode."""

SHARED_MEMORY = [folder for folder in (Path("/dev/shm"),) if folder.is_dir()]  # noqa: S108 - is looked through

START = "2026-03-04T10:00:00Z"


@dataclass(frozen=True, slots=True)
class Found:
    """A copy of a stranger, and where."""

    where: str
    hit: Hit


class Trial(RunningStack):
    """A stack that has searched footage, and what can be read of it.

    Args:
        folder: Empty; for the stack's data and temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self.temporary = make_private_folder(folder / "tmp")
        super().__init__(
            folder / "data",
            {
                "TMPDIR": str(self.temporary),
                "HOMEWARD_LOG_LEVEL": "debug",
                "HOMEWARD_SWEEP_INTERVAL_SECONDS": "2",  # so that rejected templates are purged
            },
        )
        ports = json.loads((self.data / FILE_NAME).read_text())
        self._secrets: Secrets = load_secrets(self.data / "secrets", gallery=self.data / "qdrant")
        self.store = object_store(self.data)
        self.nats_url = nats_url(port=ports["nats"], token=self._secrets.nats_token)

    def live(self, street: demo_footage.Street) -> int:
        """Do what a force does: enrol, search, confirm one sighting, reject the others.

        Returns:
            How many sightings there were.
        """
        for number in LOOKED_FOR:
            self.cli("subject", "add", "--case", f"P-{number}", str(street.portraits[number]))
        self.cli("camera", "add", "street")
        self.cli("footage", "add", str(street.footage), "--camera", "street", "--start", START)
        self.killed = self.kill_cages(while_doing=lambda: self.cli("search"))
        self.cli("search")
        sightings = self.cli("sighting", "list")["sightings"]
        for number, sighting in enumerate(sightings):
            verdict = ["--reject", "--yes"] if number else ["--confirm"]
            self.cli("sighting", "review", sighting["sightingId"], *verdict, "--reason", "a trial")
        return len(sightings)

    def kill_cages(self, *, while_doing: Callable[[], object]) -> int:
        """Kill each process that decodes recordings, once it has begun to; return how many."""
        with ThreadPoolExecutor(1) as thread:
            work = thread.submit(while_doing)
            killed = 0
            while not work.done():
                for cage in _busy_cages(below=self.up.pid):
                    with suppress(ProcessLookupError):
                        # The second kind is one that dumps are made of.
                        os.kill(cage, (signal.SIGKILL, signal.SIGABRT)[killed % 2])
                        killed += 1
                wait([work], timeout=LOOK_SECONDS)
            work.result()
        return killed

    def matrices(self) -> dict[str, NDArray[np.float64]]:
        """Return the transforms of the collections in use, by the collections' names."""
        found = {}
        for value in asyncio.run(_values(self.nats_url, GALLERIES.place)):
            record = records.decode(value, CollectionRecord)
            found[record.collection] = keying.orthogonal_matrix(
                bytes.fromhex(self._secrets.gallery_key_file.read_text().strip()),
                salt=bytes.fromhex(record.salt),
                size=record.template_size,
            )
        return found

    def everything(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yield all that is stored, but recordings themselves: where, and how to read it."""
        for bucket in self.store.list_buckets():
            for item in self.store.list_objects(bucket.name, recursive=True):
                key = str(item.object_name)
                if bucket.name != FOOTAGE.place or not key.endswith("/original"):
                    yield (
                        f"S3 {bucket.name}/{key.split('/', maxsplit=1)[0]}/…",
                        lambda name=bucket.name, key=key: self._object(name, key),  # type: ignore[misc]
                    )
        folders = (self.data, self.temporary, *SHARED_MEMORY)
        dumps = Path.cwd().glob("core*")
        for folder, paths in (
            *((folder, sorted(folder.rglob("*"))) for folder in folders),
            (Path.cwd(), sorted(dumps)),
        ):
            for path in paths:
                if path.is_file() and not path.is_symlink():
                    yield str(path.relative_to(folder.parent)), path.read_bytes

    def _object(self, bucket: str, key: str) -> bytes:
        response = self.store.get_object(bucket, key)
        try:
            return bytes(response.read())
        finally:
            response.close()
            response.release_conn()

    def plant(self, template: NDArray[np.float32], crop: NDArray[np.uint8]) -> dict[str, str]:
        """Write copies of somebody, as a careless program would; return where, by what they are."""
        matrix = next(iter(self.matrices().values()))
        keyed = keying.keyed(template[None], matrix)[0]
        noise = np.random.default_rng(1).bytes(501)  # so that nothing is aligned
        png, jpeg = (bytes(cv2.imencode(kind, crop)[1]) for kind in (".png", ".jpg"))
        text = json.dumps({"message": "debug", "template": template.tolist()})
        objects = {
            "float32 in an object": (STILLS.place, template.tobytes()),
            "a JPEG in an object": (PHOTOGRAPHS.place, jpeg),
            "a JPEG as base64 in an object": (STILLS.place, base64.b64encode(jpeg)),
        }
        files = {
            "float64, big-endian, in a temporary file": template.astype(">f8").tobytes(),
            "keyed float32 in a temporary file": keyed.tobytes(),
            "a PNG in a temporary file": png,
            "a raw crop in a temporary file": crop.tobytes(),
        }
        planted = {}
        for number, (what, (bucket, data)) in enumerate(objects.items()):
            key = f"planted-{number}/copy"
            self.store.put_object(bucket, key, io.BytesIO(noise + data), len(noise + data))
            planted[what] = f"S3 {bucket}/planted-{number}/…"
        for number, (what, data) in enumerate(files.items()):
            (self.temporary / f"planted-{number}").write_bytes(noise + data)
            planted[what] = f"tmp/planted-{number}"
        with (self.data / "logs" / "planted.log").open("a") as log:
            log.write(text + "\n")
        planted["JSON in a log"] = "data/logs/planted.log"
        encoded = base64.b64encode(template.tobytes())
        asyncio.run(_publish(self.nats_url, f"$KV.{SUBJECTS.place}.planted", encoded))
        planted["base64 in a message"] = "data/nats/"
        return planted


def strangers(
    street: demo_footage.Street, pack: LoadedPack
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return templates and aligned faces of the people who are not looked for.

    Both are taken from the recording: what a scan sees of somebody. One template, fused, and one
    crop, from the middle of their walk, for each.
    """
    portraits = [demo_footage.pixels(path.read_bytes()) for path in street.portraits]
    faces = [
        align(picture, pack.detector.detect(picture, 0.5)[0].landmarks) for picture in portraits
    ]
    known = pack.recogniser.embed(np.stack(faces))
    seen: dict[int, list[tuple[NDArray[np.float32], NDArray[np.uint8]]]] = {}
    with av.open(str(street.footage)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 10:
                continue
            picture = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            for face in pack.detector.detect(picture, 0.6):
                crop = align(picture, face.landmarks)
                template = pack.recogniser.embed(crop[None])[0]
                likeness = known @ template
                if likeness.max() >= SAME_PERSON:
                    seen.setdefault(int(likeness.argmax()), []).append((template, crop))
    others = [walk for person, walk in sorted(seen.items()) if person not in LOOKED_FOR]
    fused = [fusing.fuse(np.stack([template for template, _ in walk])) for walk in others]
    return np.stack(fused), np.stack([walk[len(walk) // 2][1] for walk in others])


def search(trial: Trial, looking: ByteSearch) -> list[Found]:
    """Return all copies that are stored anywhere."""
    found = []
    for where, read in trial.everything():
        try:
            data = read()
        except FileNotFoundError:  # a log that was rotated, a temporary file that is gone
            continue
        hits = looking.hits(data, raw=not where.endswith(ENCRYPTED))
        best = best_of(hits)
        if best is not None:
            found.append(Found(where, best))
    return found


def prove(
    folder: Path, say: Callable[[str], None], street: demo_footage.Street | None = None
) -> tuple[list[Found], dict[str, Found | None]]:
    """Run a trial.

    Args:
        folder: Empty.
        say: Takes what is being done, and what came of it.
        street: Whose footage to search; written anew if None, which takes a while.

    Returns:
        Copies of strangers that nobody planted: none, or Homeward keeps them. And what was found
        of each planted copy: all, or the search proves nothing.
    """
    pack = load_pack(runtime="auto", threads=2, cache=None)
    with Trial(folder) as trial:
        if street is None:
            with trial.channel("embedding", as_service=True) as embedding:
                street = demo.street(folder, embedding)
        templates, crops = strangers(street, pack)
        people = len(street.portraits)
        assert len(templates) == people - len(LOOKED_FOR), "each of them is in the street"
        say(f"{len(templates)} strangers and {len(LOOKED_FOR)} people who are looked for walk by")
        sightings = trial.live(street)
        say(f"{sightings} sightings: one confirmed, the others rejected")
        say(f"{trial.killed} processes that decoded were killed meanwhile")
        assert trial.killed, "a process that decodes was killed"
        sought = Sought(
            {
                "plain": templates,
                **{
                    name: keying.keyed(templates, matrix)
                    for name, matrix in trial.matrices().items()
                },
            },
            crops,
        )
        looking = ByteSearch(sought, pack)
        kept = search(trial, looking)
        say(
            f"{looking.searched_bytes / 1e6:.0f} MB in {looking.searched} objects and files:"
            f" {len(kept)} copies of strangers"
        )
        planted = trial.plant(templates[0], crops[0])
        again = search(trial, looking)
        return kept, {
            what: next((one for one in again if one.where.startswith(where)), None)
            for what, where in planted.items()
        }


def _busy_cages(*, below: int) -> list[int]:
    """Return the processes that decode, of those that a process has started."""
    parents: dict[int, int] = {}
    named: set[int] = set()
    busy: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            number = int(folder.name)
            parents[number] = int(stat[1])
            if CAGE.encode() in (folder / "cmdline").read_bytes():
                named.add(number)
                if int(stat[11]) >= BUSY_TICKS:
                    busy.append(number)
    # A cage is a fork of one that has its name, and only starts others.
    return [one for one in busy if parents[one] in named and below in _ancestors(one, parents)]


def _ancestors(process: int, parents: Mapping[int, int]) -> set[int]:
    found: set[int] = set()
    while process in parents and process not in found:
        found.add(process)
        process = parents[process]
    return found


async def _values(url: str, bucket: str) -> list[bytes]:
    client = await nats.connect(url)
    try:
        store = await client.jetstream().key_value(bucket)
        return [(await store.get(key)).value or b"" for key in await store.keys()]
    finally:
        await client.close()


async def _publish(url: str, subject: str, data: bytes) -> None:
    client = await nats.connect(url)
    try:
        await client.jetstream().publish(subject, data)
    finally:
        await client.close()


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def main() -> int:
    """Run a trial in a temporary folder and tell what came of it."""
    stores = sorted({one.engine for one in INVENTORY if one.engine is not Engine.MEMORY})
    print(f"Looking for strangers in: {', '.join(stores)}, logs and temporary files.")
    with tempfile.TemporaryDirectory(prefix="homeward-proof-") as name:
        kept, planted = prove(Path(name), _say)
    for one in kept:
        print(f"  KEPT: {one.where}: {one.hit.form} ({one.hit.detail}), {one.hit.likeness:.2f}")
    print("Planted copies of one stranger, which the same search must find:")
    for what, copy in planted.items():
        told = f"found as {copy.hit.form}, {copy.hit.likeness:.2f}" if copy else "NOT FOUND"
        print(f"  {what}: {told}")
    proven = not kept and all(planted.values())
    print("No stranger is kept." if proven else "This proves nothing: see above.")
    return 0 if proven else 1


if __name__ == "__main__":
    sys.exit(main())
