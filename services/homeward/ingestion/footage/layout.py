"""Keys of the bucket of recordings: only this module knows their form.

    footage/{camera}/{yyyy}/{mm}/{dd}/{footage_id}/original       the file
                                                  /manifest.json  written last: makes a recording
                                                  /timeline-3.npz
                                                  /presence/…, /incomparable/…, /tail-…
    by-sha256/{digest}                                            the id of the file's recording
    staging/{random}                                              files that came by URL

The day is that of the recording's start by its camera's clock, so that recordings are found by
camera and day. A footage id begins with its camera and start: within a day, ids in order are
recordings in order of their start.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime

from homeward.servicekit.objects import ObjectInfo

RECORDINGS = "footage/"
"""Prefix of all that belongs to a recording."""

POINTERS = "by-sha256/"
"""Prefix of what finds a recording by its file's digest."""

STAGING = "staging/"
"""Prefix of files that came by URL and are not checked yet."""

DEPTH = 6
"""Folders that an object of a recording is in."""

PRESENCE = "presence"
INCOMPARABLE = "incomparable"

_CAMERA_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FOOTAGE_ID = re.compile(
    rf"(?P<camera>{_CAMERA_ID.pattern})-(?P<start>\d{{8}}t\d{{12}}z)-[0-9a-f]{{16}}"
)
_DAY_FOLDERS = re.compile(rf"{RECORDINGS}[^/]+/(\d{{4}})/(\d\d)/(\d\d)/")
_START_FORMAT = "%Y%m%dt%H%M%S%fz"
_DIGEST_DIGITS = 16


def footage_id_of(camera_id: str, start_time: datetime, sha256: str) -> str:
    """Return the id of a recording: camera, start and content, so that it is always the same."""
    start = start_time.astimezone(UTC).strftime(_START_FORMAT)
    return f"{camera_id}-{start}-{sha256[:_DIGEST_DIGITS]}"


@dataclass(frozen=True, slots=True)
class FootageLayout:
    """The keys of one recording.

    Raises:
        ValueError: `footage_id` is none, as `is_footage_id` tells.
    """

    footage_id: str

    def __post_init__(self) -> None:
        if not is_footage_id(self.footage_id):
            raise ValueError(f"{self.footage_id} is no footage id")

    @property
    def camera_id(self) -> str:
        """The camera that it is by."""
        return str(self._match["camera"])

    @property
    def day(self) -> str:
        """The day on which it starts by the camera's clock in UTC, as `yyyymmdd`."""
        return str(self._match["start"])[:8]

    @property
    def start_time(self) -> datetime:
        """When it starts by the camera's clock."""
        return datetime.strptime(self._match["start"], _START_FORMAT).replace(tzinfo=UTC)

    @property
    def folder(self) -> str:
        """Prefix of all that belongs to it but the pointer."""
        return f"{day_prefix(self.camera_id, self.day)}{self.footage_id}/"

    @property
    def file(self) -> str:
        """The recording itself."""
        return f"{self.folder}original"

    @property
    def manifest(self) -> str:
        """Its manifest: while that exists, so does the recording."""
        return f"{self.folder}manifest.json"

    def timeline(self, version: int) -> str:
        """When each of its pictures is shown and where it is, by the version of its examination."""
        return f"{self.folder}timeline-{version}.npz"

    def presence(self, name: str) -> str:
        """Presence in a piece of it, which a scan stored for later scans."""
        return f"{self.folder}{PRESENCE}/{name}.json"

    def incomparable(self, name: str) -> str:
        """Times of people in a piece of it whom a scan could not compare."""
        return f"{self.folder}{INCOMPARABLE}/{name}.json"

    def tails(self, upload: str) -> str:
        """Prefix of the bytes of an upload after its last whole part."""
        return f"{self.folder}tail-{upload}-"

    @property
    def _match(self) -> re.Match[str]:
        match = _FOOTAGE_ID.fullmatch(self.footage_id)
        assert match is not None, "checked when it was made"
        return match


@dataclass(frozen=True, slots=True, order=True)
class CameraDay:
    """The recordings of a camera that start on one day, as `day_prefix` names it."""

    camera_id: str
    day: str


def is_footage_id(text: str) -> bool:
    """Tell whether a text has the form of a footage id."""
    return _FOOTAGE_ID.fullmatch(text) is not None


def is_camera_id(text: str) -> bool:
    """Tell whether a text has the form of a camera's id."""
    return _CAMERA_ID.fullmatch(text) is not None


def camera_prefix(camera_id: str) -> str:
    """Return the prefix of all recordings of a camera."""
    return f"{RECORDINGS}{camera_id}/"


def day_prefix(camera_id: str, day: str) -> str:
    """Return the prefix of the recordings of a camera that start on a day, given as `yyyymmdd`."""
    return f"{camera_prefix(camera_id)}{day[:4]}/{day[4:6]}/{day[6:]}/"


def day_of(instant: datetime | date) -> str:
    """Return the day of an instant as `day_prefix` takes it; of one with a zone, in UTC."""
    utc = instant.astimezone(UTC) if isinstance(instant, datetime) else instant
    return f"{utc:%Y%m%d}"


def day_in(key: str) -> str:
    """Return the day in whose folder an object is, as `day_prefix` names it; "" if in none."""
    match = _DAY_FOLDERS.match(key)
    return "".join(match.groups()) if match else ""


def last_folder(prefix: str) -> str:
    """Return the name of the last folder of a prefix that ends with a slash."""
    return prefix.rstrip("/").rpartition("/")[2]


def footage_in(key: str) -> str:
    """Return the id of the recording whose object a key would be; "" if it is no such key."""
    parts = key.split("/")
    name = parts[DEPTH - 1] if len(parts) > DEPTH else ""
    belongs = is_footage_id(name) and key.startswith(FootageLayout(name).folder)
    return name if belongs else ""


def is_manifest(item: ObjectInfo) -> bool:
    """Tell whether an object is the manifest of a recording."""
    return item.key.endswith("/manifest.json")


def pointer_key(sha256: str) -> str:
    """Return where the id of the recording is kept whose file has a digest, hexadecimal."""
    return f"{POINTERS}{sha256}"


def new_staging_key() -> str:
    """Return a key for the file of an upload by URL, which no other upload has."""
    return f"{STAGING}{uuid.uuid4().hex}"


def footage_folder(footage_id: str) -> str:
    """Return the prefix of all that belongs to a recording but its pointer."""
    return FootageLayout(footage_id).folder
