"""Entry point of `homeward`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from homeward.cli import errors
from homeward.cli.app import app
from homeward.cli.output import outlast_readers


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; every error is told here."""
    # gRPC's own log lines say in its words what the error says in ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        result = app.main(arguments, prog_name="homeward", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the one place that turns errors into exit codes
        return errors.report(error)
    return int(result or 0)


def main() -> None:
    """Run the command line of this process."""
    outlast_readers()
    sys.exit(run())


if __name__ == "__main__":
    main()
