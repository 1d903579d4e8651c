"""Freeing the bytes of deleted objects in the embedded object store.

SeaweedFS only appends: what is deleted stays in the files of its volumes until those are rewritten,
which it does by itself for a volume that is garbage by a third. Here it is asked to do so for every
volume with any garbage. Chunks that a stop or a crash kept it from deleting, though their object is
gone, it would never remove: they are looked for first.
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
"""Of a start, which has enough to do."""

ORPHAN_HOURS = 5
"""Least age of a chunk without an object that is removed: a younger one's may be on its way in."""

FREES_AFTER = timedelta(days=1)
"""What certificates state. It takes `INTERVAL` for most, and `ORPHAN_HOURS` more for orphans; the
rest is for what goes wrong, and is said, to be put right."""

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
    """Free the bytes of deleted objects now and then, whatever happens.

    Args:
        data: The stack's folder.
        ports: By name.
        stopping: Ends it.
        say: Takes what went wrong.
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
    answer = _ask(data, ports)
    # It says nothing of a volume that it could not rewrite. One that it did is another file.
    after = _volume_files(folder)
    kept = [
        volume
        for volume in _GARBAGE.findall(answer)
        if volume in after and before.get(volume) == after[volume]
    ]
    if kept:
        raise StackError(f"SeaweedFS did not rewrite its volumes {', '.join(kept)}")


def _ask(data: Path, ports: Mapping[str, int]) -> str:
    pipe, held = os.pipe()
    try:
        return subprocess.run(  # noqa: S603 - our own list
            wrap(shell_command(data, ports=ports), supervisor=os.getpid(), pipe=pipe),
            input=_SCRIPT,
            capture_output=True,
            text=True,
            check=True,
            # It waits for ever for a server that does not answer.
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
