"""Entry point of `homeward`.

The client's modules are imported inside `main`: that takes 0.1 s, in which Ctrl-C ends the command
as it does later.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; all errors are printed here."""
    from homeward.cli import errors  # noqa: PLC0415 - see above
    from homeward.cli.app import app  # noqa: PLC0415 - see above

    # The error says the same as the log lines of gRPC, in plain words.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        result = app.main(arguments, prog_name="homeward", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the one place that turns errors into exit codes
        return errors.report(error)
    return int(result or 0)


def main() -> None:
    """Run the command line of this process."""
    try:
        from homeward.cli.output import outlast_readers  # noqa: PLC0415 - see above

        outlast_readers()
        code = run()
    except KeyboardInterrupt:  # before click, which takes it while a command runs
        sys.stderr.write("error: interrupted\n")
        code = _INTERRUPTED
    sys.exit(code)


_INTERRUPTED = 130
"""`ExitCode.INTERRUPTED`, whose module may not be imported yet."""

if __name__ == "__main__":
    main()
