"""Options that narrow what a command is about."""

from __future__ import annotations

import click

from homeward.cli import completing

of_subjects = click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="WHO",
    help="Only of this subject: id, label or case.",
    shell_complete=completing.subjects,
)
of_cameras = click.option(
    "--camera",
    "camera_ids",
    multiple=True,
    metavar="CAM",
    help="Only of this camera.",
    shell_complete=completing.cameras,
)
