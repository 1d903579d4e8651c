"""The DHAV container of Dahua's recorders, which FFmpeg reads and does not write."""

from __future__ import annotations

import io
import struct
from datetime import datetime, timedelta
from typing import Any

import av

KEY_PICTURE, PICTURE = 0xFD, 0xFC
_HEADER = struct.Struct("<4sBBBBIIIHBB")
_SIZE_EXTENSION, _RATE_EXTENSION = 0x80, 0x81
_H264 = 2
_UNIT = 8
"""A picture's width and height are told in blocks of so many pixels."""


def dhav(track: bytes, *, began: datetime) -> bytes:
    """Return a DHAV file of an H.264 track.

    Args:
        track: A transport stream without B pictures.
        began: By the recorder's clock, which the file tells to the second.
    """
    with av.open(io.BytesIO(track)) as source:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        first, tick = packets[0].pts or 0, stream.time_base or 0
        size = (stream.codec_context.width, stream.codec_context.height)
        rate = round(float(stream.average_rate or 25))
        return b"".join(
            _chunk(number, packet, float(((packet.pts or 0) - first) * tick), size, rate, began)
            for number, packet in enumerate(packets)
        )


def _chunk(  # noqa: PLR0917 - each is a field of the chunk
    number: int,
    packet: Any,
    second: float,
    size: tuple[int, int],
    rate: int,
    began: datetime,
) -> bytes:
    width, height = size
    more = bytes([_SIZE_EXTENSION, 0, width // _UNIT, height // _UNIT])
    more += bytes([_RATE_EXTENSION, 0, _H264, rate])
    body = bytes(packet)
    length = _HEADER.size + len(more) + len(body) + 8
    header = _HEADER.pack(
        b"DHAV",
        KEY_PICTURE if packet.is_keyframe else PICTURE,
        0,
        0,
        0,
        number,
        length,
        _date(began + timedelta(seconds=second)),
        round(second * 1000) & 0xFFFF,
        len(more),
        0,
    )
    return header + more + body + b"dhav" + struct.pack("<I", length)


def _date(at: datetime) -> int:
    parts = ((at.second, 0), (at.minute, 6), (at.hour, 12), (at.day, 17), (at.month, 22))
    return sum(value << bits for value, bits in parts) | (at.year - 2000) << 26
