"""Freeing the bytes of deleted objects in the embedded object store.

SeaweedFS only appends: the bytes of a deleted object stay in the file of its volume until SeaweedFS
rewrites that file. By itself it rewrites a volume when a third of it is garbage. This module has it
rewrite every volume with any garbage. A stop or a crash can leave chunks whose object is gone;
SeaweedFS would never remove those, so they are searched for and deleted first.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from homeward.embedded.child import wrap
from homeward.embedded.errors import StackError
from homeward.embedded.stack import Say
from homeward.embedded.weed import shell_command, shell_environment

INTERVAL = timedelta(hours=1)
FIRST_AFTER = timedelta(minutes=1)
"""After a start, during which the machine is busy enough."""

ORPHAN_HOURS = 5
"""Least age of a chunk that is removed because no object has it: the object of a younger one may
still be under way."""

FREES_AFTER = timedelta(days=1)
"""What certificates state. Most bytes are freed within `INTERVAL`, those of orphans `ORPHAN_HOURS`
later. The rest is for an operator, who is told when freeing fails and has to remove the cause."""

_SCRIPT = f"""\
lock
volume.fsck -reallyDeleteFromVolume -cutoffTimeAgo={ORPHAN_HOURS}h
volume.list
volume.vacuum -garbageThreshold=0.000000001
unlock
"""
_GARBAGE = re.compile(r"volume Id:(\d+),.* DeletedByteCount:[1-9]")


def free_regularly(
    data: Path, ports: Mapping[str, int], *, stopping: threading.Event, say: Say
) -> None:
    """Free the bytes of deleted objects again and again; a failure does not end it.

    Args:
        data: The stack's folder.
        ports: By name.
        stopping: Set when the stack stops, which ends this too.
        say: Gets a line about each failure.
    """
    wait = FIRST_AFTER
    while not stopping.wait(wait.total_seconds()):
        wait = INTERVAL
        try:
            free_deleted_bytes(data, ports)
        except (StackError, OSError) as error:
            if not stopping.is_set():  # or else it failed because the store is stopping
                say(
                    f"deleted objects may still be in {data / 'weed'}: {error}. It is tried again"
                    f" in an hour; see {data / 'logs' / 's3.log'}, and free disk space if that is"
                    " short"
                )


def free_deleted_bytes(data: Path, ports: Mapping[str, int]) -> None:
    """Have the object store rewrite its volumes without what was deleted.

    Args:
        data: The stack's folder.
        ports: By name.

    Raises:
        StackError: It could not be done, or not for all volumes.
    """
    folder = data / "weed"
    before = _volume_files(folder)
    output = _run_script(data, ports)
    # SeaweedFS does not name a volume that it could not rewrite. A rewritten one is a new file.
    after = _volume_files(folder)
    kept = [
        volume
        for volume in _GARBAGE.findall(output)
        if volume in after and before.get(volume) == after[volume]
    ]
    if kept:
        raise StackError(f"SeaweedFS did not rewrite its volumes {', '.join(kept)}")


def _run_script(data: Path, ports: Mapping[str, int]) -> str:
    pipe, held = os.pipe()
    try:
        return subprocess.run(  # noqa: S603 - our own list
            wrap(shell_command(data, ports=ports), supervisor=os.getpid(), pipe=pipe),
            input=_SCRIPT,
            capture_output=True,
            text=True,
            check=True,
            # `weed shell` waits for ever for a server that does not answer.
            timeout=INTERVAL.total_seconds(),
            env=shell_environment(data),
            pass_fds=(pipe,),
            start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor alone
        ).stdout
    except subprocess.CalledProcessError as error:
        raise StackError(f"weed shell says {error.stderr.strip()!r}") from error
    except subprocess.TimeoutExpired as error:
        raise StackError(f"weed shell did not end within {INTERVAL}") from error
    finally:
        os.close(pipe)
        os.close(held)


def _volume_files(folder: Path) -> dict[str, int]:
    """Return which file holds each volume: `<bucket>_<volume>.dat`, or without a bucket."""
    return {path.stem.rpartition("_")[2]: path.stat().st_ino for path in folder.glob("*.dat")}
