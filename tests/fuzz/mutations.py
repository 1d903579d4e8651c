"""What can become of a file: by damage, by mistake and by intent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

Mutation = Callable[[bytes, Random], bytes]

HEAD = 600
"""Bytes at the beginning, where most containers have what the rest depends on."""

MAX_FLIPS = 64


def flipped(content: bytes, rng: Random) -> bytes:
    """Return the content with a few bits the other way round, anywhere."""
    return _flipped(content, rng, 0, len(content))


def flipped_head(content: bytes, rng: Random) -> bytes:
    """Return the content with a few bits the other way round where it begins."""
    return _flipped(content, rng, 0, min(HEAD, len(content)))


def flipped_tail(content: bytes, rng: Random) -> bytes:
    """Return the content with a few bits the other way round where it ends, as an index may."""
    return _flipped(content, rng, max(0, len(content) - 3 * HEAD), len(content))


def _flipped(content: bytes, rng: Random, first: int, beyond: int) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, MAX_FLIPS)):
        changed[rng.randrange(first, beyond)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: Random) -> bytes:
    """Return the beginning."""
    return content[: rng.randrange(len(content))]


def beheaded(content: bytes, rng: Random) -> bytes:
    """Return the end."""
    return content[rng.randrange(len(content)) :]


def gutted(content: bytes, rng: Random) -> bytes:
    """Return the content without a piece of it."""
    first, beyond = _piece(content, rng)
    return content[:first] + content[beyond:]


def blanked(content: bytes, rng: Random) -> bytes:
    """Return the content with a piece of zeros, as a disk has it that was not written."""
    first, beyond = _piece(content, rng)
    return content[:first] + bytes(beyond - first) + content[beyond:]


def scrambled(content: bytes, rng: Random) -> bytes:
    """Return the content with a piece of noise."""
    first, beyond = _piece(content, rng)
    return content[:first] + rng.randbytes(beyond - first) + content[beyond:]


def repeated(content: bytes, rng: Random) -> bytes:
    """Return the content with a piece of it many times."""
    first, beyond = _piece(content, rng)
    return content[:beyond] + content[first:beyond] * rng.randint(1, 20) + content[beyond:]


def swapped(content: bytes, rng: Random) -> bytes:
    """Return the content with two of its blocks exchanged."""
    size = max(1, len(content) // 8)
    blocks = [content[at : at + size] for at in range(0, len(content), size)]
    one, other = rng.randrange(len(blocks)), rng.randrange(len(blocks))
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return b"".join(blocks)


def enlarged(content: bytes, rng: Random) -> bytes:
    """Return the content with a number in it that is as large as it can be."""
    at, size = rng.randrange(min(2 * HEAD, len(content))), rng.choice((2, 4, 8))
    most = rng.choice((b"\xff" * size, b"\x7f" + b"\xff" * (size - 1)))
    return content[:at] + most + content[at + size :]


def _piece(content: bytes, rng: Random) -> tuple[int, int]:
    first = rng.randrange(len(content))
    return first, min(len(content), first + rng.randint(1, max(1, len(content) // 4)))


MUTATIONS: Mapping[str, Mutation] = {
    one.__name__: one
    for one in (
        flipped,
        flipped_head,
        flipped_tail,
        cut,
        beheaded,
        gutted,
        blanked,
        scrambled,
        repeated,
        swapped,
        enlarged,
    )
}
