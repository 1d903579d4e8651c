"""Camera and start of a recording, as a file's place, its name and what lies beside it say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import PurePosixPath

from homeward.cli import times
from homeward.cli.errors import CliError
from homeward.cli.files import written_name

CAMERA_MARK = "{camera}"
SIDE_CAR_SUFFIX = ".json"
MOST_SIDE_CAR_BYTES = 64 * 1024

_RENAME = "rename it as the others are, or put a side-car beside it; then move it back"
_CAMERA = r"(?P<camera>[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)"


@dataclass(frozen=True, slots=True)
class Facts:
    """What must be known of a recording."""

    camera_id: str
    start: datetime
    """By the camera's clock."""


@dataclass(frozen=True, slots=True)
class SideCar:
    """What lies beside a recording; what it does not say is None."""

    camera_id: str | None = None
    start: datetime | None = None

    @classmethod
    def parsed(cls, data: bytes, name: str) -> SideCar:
        """Read `{"cameraId": …, "startTime": …}`; other members are passed over.

        Raises:
            CliError: It is no such thing.
        """
        try:
            found = json.loads(data)
            camera, start = found.get("cameraId"), found.get("startTime")
        except (ValueError, AttributeError, RecursionError) as error:
            raise CliError(f"{name}: is no JSON object") from error
        if not isinstance(camera, str | None) or not isinstance(start, str | None):
            raise CliError(f"{name}: cameraId and startTime must be text")
        try:
            instant = datetime.fromisoformat(start) if start else None
        except ValueError as error:
            raise CliError(f"{name}: startTime {start!r} is no time") from error
        if instant is not None and instant.tzinfo is None:
            raise CliError(
                f"{name}: startTime {start!r} has no time zone",
                advice=f"write {start}Z for UTC, or {start}+01:00 for a clock one hour ahead of it",
            )
        return cls(camera or None, instant)


@dataclass(frozen=True, slots=True)
class Rules:
    """Where camera and start are to be found."""

    camera_id: str | None = None
    """Of all; None where names, side-cars or folders say."""
    pattern: str | None = None
    """Of names, as for `strptime`; may have `{camera}` in it. None: side-cars say the start."""
    zone: tzinfo | None = None
    """Of times in names that state none."""

    def facts(self, place: PurePosixPath, side_car: SideCar | None) -> Facts:
        """Return what is known of a file.

        The side-car counts before the name, that before the option, and that before the folder.

        Args:
            place: Of the file, within the folder or under the prefix.
            side_car: What lies beside it; None for nothing.

        Raises:
            CliError: Camera or start is not said, or not rightly.
        """
        said = side_car or SideCar()
        name = written_name(place.name)
        camera, start = self._in_name(name) if self.pattern else (None, None)
        folder = place.parts[0] if len(place.parts) > 1 else None
        camera = said.camera_id or camera or self.camera_id or folder
        start_time = said.start or (start() if start else None)
        if camera is None:
            raise CliError(
                f"{name}: its camera is not known",
                advice="put it into a folder that is named for its camera, or give --camera",
            )
        if start_time is None:
            raise CliError(
                f"{name}: its start is not known",
                advice=f"give --start-from-name, or put {name}{SIDE_CAR_SUFFIX} beside it",
            )
        return Facts(camera, start_time)

    def _in_name(self, name: str) -> tuple[str | None, Callable[[], datetime]]:
        """Return the camera that a name has, and what reads its start; both if they are asked."""
        pattern, zone = self.pattern or "", self.zone
        camera = None
        if CAMERA_MARK in pattern:
            searched = times.searched(pattern).replace(re.escape(CAMERA_MARK), _CAMERA, 1)
            found = re.search(searched, name)
            if found is None:
                raise CliError(f"{name}: its name does not fit {pattern}", advice=_RENAME)
            camera = found["camera"].lower()
            begin, end = found.span("camera")
            name = f"{name[found.start() : begin]}{CAMERA_MARK}{name[end : found.end()]}"

        def start() -> datetime:
            assert zone is not None
            try:
                return times.start_from_name(name, pattern, zone)
            except ValueError as error:
                raise CliError(str(error), advice=_RENAME) from None

        return camera, start
