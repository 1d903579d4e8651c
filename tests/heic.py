"""HEIC files for tests: pi-heif, which reads them, has no encoder."""

from __future__ import annotations

import io

import av
import numpy as np


def heic_of(picture: np.ndarray) -> bytes:
    """Return a HEIC file with a picture, RGB, shape (height, width, 3), sides even and from 64 on.

    FFmpeg encodes one frame into an MP4 file; its parameters and its bytes are put into the boxes
    of a HEIF file (ISO/IEC 23008-12).
    """
    height, width = picture.shape[:2]
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream = container.add_stream("libx265", rate=1, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode()])
    video = file.getvalue()
    start = video.index(b"hvcC") - 4
    parameters = video[start : start + int.from_bytes(video[start : start + 4])]
    file.seek(0)
    with av.open(file) as container:
        coded = next(bytes(packet) for packet in container.demux(video=0) if packet.size)

    size = full_box(b"ispe", width.to_bytes(4) + height.to_bytes(4))
    properties = box(
        b"iprp",
        box(b"ipco", parameters + size)
        + full_box(b"ipma", (1).to_bytes(4) + (1).to_bytes(2) + bytes([2, 0x81, 0x02])),
    )
    handler = full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
    item = full_box(b"infe", (1).to_bytes(2) + bytes(2) + b"hvc1" + b"\0", version=2)
    items = full_box(b"iinf", (1).to_bytes(2) + item)
    primary = full_box(b"pitm", (1).to_bytes(2))
    kind = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")

    def meta(offset: int) -> bytes:
        extent = (1).to_bytes(2) + offset.to_bytes(4) + len(coded).to_bytes(4)
        location = bytes([0x44, 0]) + (1).to_bytes(2) + (1).to_bytes(2) + bytes(2) + extent
        return full_box(
            b"meta", handler + primary + full_box(b"iloc", location) + items + properties
        )

    return kind + meta(len(kind) + len(meta(0)) + 8) + box(b"mdat", coded)


def box(kind: bytes, content: bytes) -> bytes:
    """Return a box of the ISO base media file format."""
    return (8 + len(content)).to_bytes(4) + kind + content


def full_box(kind: bytes, content: bytes, version: int = 0) -> bytes:
    """Return a box with a version and no flags."""
    return box(kind, bytes([version, 0, 0, 0]) + content)
