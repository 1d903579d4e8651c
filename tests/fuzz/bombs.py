"""Files that say, or hold, far more than their size tells. Each is made by hand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

_START = b"\x00\x00\x00\x01"
_GREY_BLOCK = "00100" + "1" + "1" + "1"
"""A macroblock of H.264: predicted as a whole, of the mean around it, nothing added."""


def h264(width: int, height: int, *, pictures: int) -> bytes:
    """Return a raw H.264 stream of grey pictures, of which the first is nearly all of the file.

    Each picture after it says in a few bytes that it is the same. One byte of the first one is 256
    pixels.

    Args:
        width: Pixels, a multiple of 16.
        height: Pixels, a multiple of 16.
        pictures: How many there are.
    """
    blocks = (width // 16) * (height // 16)
    parameters = _nal(0x67, _sequence(width // 16, height // 16)) + _nal(0x68, _picture())
    first = _slice(kind=7, idr=True, number=0) + _GREY_BLOCK * blocks
    same = (
        _nal(0x41, _slice(kind=5, idr=False, number=number % 16) + _ue(blocks))
        for number in range(1, pictures)
    )
    return parameters + _nal(0x65, first) + b"".join(same)


def _sequence(columns: int, rows: int) -> str:
    profile, level = 66, 62
    return (
        f"{profile:08b}{0:08b}{level:08b}"
        + _ue(0)  # the number of these parameters
        + _ue(0)  # four bits of frame number
        + _ue(2)  # shown in the order of decoding
        + _ue(1)  # pictures to predict from
        + "0"
        + _ue(columns - 1)
        + _ue(rows - 1)
        + "1"  # no fields
        + "1"
        + "0"  # nothing cropped
        + "0"  # no usability information, so no rate
    )


def _picture() -> str:
    return (
        _ue(0) + _ue(0) + "0" + "0" + _ue(0) + _ue(0) + _ue(0) + "0" + "00" + _ue(0) * 3 + "0" * 3
    )


def _slice(*, kind: int, idr: bool, number: int) -> str:
    head = _ue(0) + _ue(kind) + _ue(0) + f"{number:04b}"
    if idr:
        return head + _ue(0) + "0" + "0" + _ue(0)  # its id, no output of earlier ones, quality
    return head + "0" + "0" + "0" + _ue(0)  # as many references, in their order, no marking


def _ue(value: int) -> str:
    """Return an unsigned number as H.264 writes it."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def _nal(head: int, bits: str) -> bytes:
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return _START + bytes([head]) + _escaped(body)


def _escaped(body: bytes) -> bytes:
    """Return the body without anything that looks like the start of the next one."""
    escaped, zeros = bytearray(), 0
    for one in body:
        if zeros == 2 and one <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(one)
        zeros = zeros + 1 if one == 0 else 0
    return bytes(escaped)


def many_samples(mp4: bytes, pictures: int) -> bytes:
    """Return an MP4 file that says that it has this many pictures, of a few bytes each.

    Args:
        mp4: Two pictures at one rate.
        pictures: How many it is to say.
    """
    count = struct.pack(">I", pictures)
    content = _patched(mp4, b"stts", 8, count)  # after version and number of entries
    content = _patched(content, b"stsz", 4, struct.pack(">I", 9) + count)
    return _patched(content, b"stsc", 12, count)


def with_timescale(mp4: bytes, ticks: int) -> bytes:
    """Return an MP4 file whose picture track counts this many ticks a second."""
    return _patched(mp4, b"mdhd", 12, struct.pack(">I", ticks))


def with_rate(avi: bytes, scale: int, rate: int) -> bytes:
    """Return an AVI file that says that it has `rate / scale` pictures a second."""
    at = avi.index(b"strh") + 8 + 20
    return avi[:at] + struct.pack("<II", scale, rate) + avi[at + 8 :]


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return a JPEG file, or a recording of such, that says that it is this large."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _patched(content: bytes, box: bytes, offset: int, patch: bytes) -> bytes:
    at = content.index(box) + 4 + offset
    return content[:at] + patch + content[at + len(patch) :]


def png(width: int, height: int, *, rows: int | None = None) -> bytes:
    """Return a grey PNG file.

    Args:
        width: Pixels.
        height: Pixels.
        rows: How many there really are; None for all.
    """
    data = zlib.compress(bytes((width + 1) * (height if rows is None else rows)), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return _png(((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")))


def png_with_text(size: int) -> bytes:
    """Return a small PNG file with a text and a colour profile that unpack to `size` bytes each."""
    packed = zlib.compress(bytes(size), 9)
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    return _png(
        (
            (b"IHDR", header),
            (b"zTXt", b"Comment\0\0" + packed),
            (b"iCCP", b"Profile\0\0" + packed),
            (b"IDAT", zlib.compress(bytes(65 * 64))),
            (b"IEND", b""),
        )
    )


def _png(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def gif(width: int, height: int, *, pictures: int) -> bytes:
    """Return a GIF file whose pictures are this large and a few bytes long."""
    picture = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00"
    header = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF0, 0, 0)
    return header + bytes(3) + b"\xff" * 3 + picture * pictures + b";"


def jpeg_scans(jpeg: bytes, scans: int) -> bytes:
    """Return a progressive JPEG file with its last scan many times: each is decoded."""
    at = jpeg.rindex(b"\xff\xda")
    return jpeg[:at] + jpeg[at:-2] * scans + jpeg[-2:]
