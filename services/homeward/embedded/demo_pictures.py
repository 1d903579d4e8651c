"""Whom the demo shows: photographs that come with other packages, as none comes with Homeward."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import click

from homeward.core.distribution import how_to_install


@dataclass(frozen=True, slots=True)
class PackagedPicture:
    """A photograph that a distribution installs: its name, and how the file's path ends."""

    distribution: str
    ending: str

    def read(self) -> bytes | None:
        """Return the file; None when the distribution is not installed, or no longer has it."""
        try:
            files = metadata.files(self.distribution) or []
        except metadata.PackageNotFoundError:
            return None
        found = [file for file in files if file.as_posix().endswith(self.ending)]
        return Path(str(found[0].locate())).read_bytes() if found else None


GROUP = PackagedPicture("insightface", "insightface/data/images/t1.jpg")
"""Six people. `make` installs the package alone, without the 600 MB that it asks for."""

PORTRAITS = (
    PackagedPicture("scikit-image", "skimage/data/astronaut.png"),
    PackagedPicture("matplotlib", "matplotlib/mpl-data/sample_data/grace_hopper.jpg"),
)
"""One person each, in the public domain (NASA, US Navy). The extra `demo` brings them.

Not `GROUP`: an extra would bring all that its package asks for, and opencv-python among it, which
overwrites opencv-python-headless and does not load on a server without libGL.
"""


def demo_photos() -> list[bytes]:
    """Return photographs with at least two people, as picture files.

    Raises:
        click.ClickException: They are not installed.
    """
    group = GROUP.read()
    if group is not None:
        return [group]
    portraits = [portrait.read() for portrait in PORTRAITS]
    found = [portrait for portrait in portraits if portrait is not None]
    if len(found) < len(portraits):
        raise click.ClickException(f"the demo's photographs are missing: {how_to_install('demo')}")
    return found
