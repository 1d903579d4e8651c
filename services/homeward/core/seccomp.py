"""The system calls that a process that reads bytes from outside does without."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

try:  # here, as a process that may open no more files could not import it later
    import pyseccomp
except (ImportError, OSError, RuntimeError):  # where libseccomp is not installed
    pyseccomp = None

_CLONE_THREAD = 0x00010000

FORBIDDEN_CALLS = (
    # No network, by whichever call.
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "io_uring_setup"),
    # No other program, no other process; `clone` for threads alone, see `forbid_calls`.
    *("execve", "execveat", "fork", "vfork", "kill", "tkill", "ptrace", "pidfd_open"),
    *("process_vm_readv", "process_vm_writev", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("pidfd_send_signal", "shmget", "shmat", "msgget", "semget", "mq_open"),
    # No memory or message that is found by its number.
    *("shmctl", "msgctl", "msgsnd", "msgrcv", "semctl", "semop", "semtimedop"),
    # No change of its own limits, nor to how another process runs; for `prlimit64` see
    # `forbid_calls`.
    "setrlimit",
    *("setpriority", "ioprio_set", "sched_setaffinity", "sched_setscheduler", "sched_setparam"),
    *("sched_setattr", "migrate_pages", "move_pages", "process_madvise", "process_mrelease"),
    "pidfd_getfd",
    # No file by name: what a cage needs is open before it is locked.
    *(
        "open",
        "openat",
        "openat2",
        "creat",
        "unlink",
        "unlinkat",
        "rename",
        "renameat",
        "renameat2",
    ),
    *(
        "mkdir",
        "mkdirat",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
        "truncate",
        "chmod",
        "fchmodat",
    ),
    *("rmdir", "mknod", "mknodat", "chown", "lchown", "fchownat", "open_by_handle_at"),
    *("setxattr", "lsetxattr", "removexattr", "lremovexattr"),
    *("utime", "utimes", "futimesat", "utimensat"),
    # Nor of one that is open: `/dev/null` is, and is everybody's.
    *("fchmod", "fchown", "fsetxattr", "fremovexattr"),
    # No way around all this.
    *("mount", "unshare", "setns", "chroot", "bpf", "keyctl", "add_key", "userfaultfd"),
    *("fsopen", "open_tree", "move_mount", "perf_event_open", "request_key"),
)
"""System calls that fail with EPERM after `forbid_calls`."""

_NEW_CALLS = range(451, 512)
"""Numbers of system calls that are newer than Linux 6.4: what they do is not known here, or is not
needed, as `fchmodat2` and `setxattrat`. They fail with ENOSYS, as in an older system. All
processors have the same numbers for them."""

_FCNTL_OWNER = (8, 10, 15)
"""F_SETOWN, F_SETSIG and F_SETOWN_EX: which signal what process gets for a file."""

_IOCTL_OWNER = (0x8901, 0x8902, 0x5452, 0x5412)
"""FIOSETOWN, SIOCSPGRP and FIOASYNC, which are the same by another call; TIOCSTI, which types."""

_COMMAND = 0xFFFF_FFFF
"""The kernel looks at these bits of a command alone."""


def forbid_calls() -> bool:
    """Have the system refuse `FORBIDDEN_CALLS`, and others by their arguments; return if it does.

    Without libseccomp, or in a kernel without its filters, the limits alone remain: the process
    could then remove or rename files, and signal processes, that its user may.
    """
    if pyseccomp is None:
        return False
    calls = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    # For the threads that libraries have started too.
    calls.set_attr(pyseccomp.Attr.CTL_TSYNC, 1)
    for name in FORBIDDEN_CALLS:
        with suppress(OSError, ValueError):  # not of this processor
            calls.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    for number in _NEW_CALLS:
        calls.add_rule(pyseccomp.ERRNO(errno.ENOSYS), number)
    # A thread is a clone with this flag. The flags of clone3 are out of a filter's sight: libraries
    # that are told that there is none take clone.
    no_thread = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "clone", no_thread)
    calls.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    # A signal to this process alone, which is how it aborts.
    other = pyseccomp.Arg(0, pyseccomp.NE, os.getpid())
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "tgkill", other)
    # Limits may be read; new ones are its third argument.
    changed = pyseccomp.Arg(2, pyseccomp.NE, 0)
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "prlimit64", changed)
    for name, commands in (("fcntl", _FCNTL_OWNER), ("ioctl", _IOCTL_OWNER)):
        for command in commands:
            same = pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _COMMAND, command)
            calls.add_rule(pyseccomp.ERRNO(errno.EPERM), name, same)
    try:
        calls.load()
    except OSError:
        return False
    return True
