"""PyAV: opening the container of a recording."""

from __future__ import annotations

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from homeward.ingestion.adapters.http_file import HttpFile

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,mxf,ogg,dhav,h264,hevc,m4v,"
    # Pictures: recognised, so that they can be refused by name.
    "jpeg_pipe,png_pipe,bmp_pipe,tiff_pipe,webp_pipe,gif,apng"
)
"""The containers that recordings come in. FFmpeg knows many others, among them some that are a few
lines of text which make it open sockets or other files."""


class open_video:  # noqa: N801 - reads as the context manager that it is
    """Open a container and its first picture track.

    Raises:
        av.error.FFmpegError: It is no media file.
        LookupError: It has no picture track.
    """

    def __init__(self, file: HttpFile) -> None:
        self._container: InputContainer = av.open(
            file, mode="r", metadata_errors="ignore", options={"format_whitelist": FORMATS}
        )

    def __enter__(self) -> tuple[InputContainer, VideoStream]:
        for stream in self._container.streams.video:
            if not stream.disposition & Disposition.attached_pic:  # a sound file's cover
                return self._container, stream
        self._container.close()
        raise LookupError("no picture track")

    def __exit__(self, *_: object) -> None:
        self._container.close()
