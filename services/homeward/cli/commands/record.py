"""`homeward record`: use records of scans, as files."""

from __future__ import annotations

import click

from homeward.cli.errors import CliError, ExitCode
from homeward.cli.files import existing_file
from homeward.cli.options import Group, Session, connected
from homeward.core.audit.notes import NoteError, VerifierKey
from homeward.core.use_record import UseRecordError, verify_file


@click.group(cls=Group)
def record() -> None:
    """Verify the use record of a scan, which `homeward scan record` wrote."""


@record.command(
    "verify",
    examples=[
        "homeward record verify scan.json",
        "homeward record verify scan.json --key homeward-audit+…",
    ],
)
@connected
@click.argument("file", metavar="FILE")
@click.option("--key", "key_text", metavar="KEY", help="The key that you noted earlier.")
def verify(session: Session, *, file: str, key_text: str | None) -> None:
    """Tell whether a use record is the one that was signed, without any server.

    Exit code 3 if it is not.
    """
    try:
        key = VerifierKey.parse(key_text) if key_text else None
    except NoteError as error:
        advice = "`homeward audit checkpoint --key` shows it"
        raise CliError(f"--key: {error}", advice=advice) from error
    try:
        verified = verify_file(existing_file(file).read_bytes(), key)
    except UseRecordError as error:
        raise CliError(
            f"{file} {error}",
            exit_code=ExitCode.OVERDUE,
            advice="ask for the record again, or compare the key with the one that you noted",
        ) from error
    scan_id = str(verified.record.get("scan", {}).get("scan_id", ""))
    if session.view.json:
        document = {
            "intact": True,
            "scanId": scan_id,
            "sha256": verified.sha256,
            "verifierKey": verified.verifier_key,
        }
        session.view.document(document)
    else:
        session.view.say(f"The use record of scan {scan_id} is the one that was signed.")
    if key is None:
        session.view.say(
            "The key is taken from what was verified; compare it with one that you noted:"
            f" {verified.verifier_key}"
        )
