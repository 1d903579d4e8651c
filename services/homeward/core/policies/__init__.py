"""The policy files that come with Homeward: every `*.json` of this package.

None of them is approved: whoever runs Homeward decides whether the measurement fits.
"""

from __future__ import annotations

from importlib.resources import files


def shipped() -> list[bytes]:
    """Return the files, in the order of their names."""
    found = (file for file in files(__package__).iterdir() if file.name.endswith(".json"))
    return [file.read_bytes() for file in sorted(found, key=lambda file: file.name)]
