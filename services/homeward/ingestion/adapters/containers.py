"""PyAV: opening the container of a recording."""

from __future__ import annotations

import io
from typing import Self

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from homeward.ingestion.footage.limits import MAX_PICTURE_PIXELS

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,mxf,ogg,dhav,h264,"
    "hevc,m4v,mjpeg,"
    # Pictures: recognised, so that they can be refused by name.
    "jpeg_pipe,png_pipe,bmp_pipe,tiff_pipe,webp_pipe,gif,apng"
)
"""The containers that recordings come in. FFmpeg knows many others, among them some that are a few
lines of text which make it open sockets or other files."""


class PictureTracks:
    """An open container and its picture tracks, without covers of sound files."""

    def __init__(self, container: InputContainer) -> None:
        self.container = container
        self.streams: list[VideoStream] = []
        for stream in container.streams.video:
            # None: FFmpeg has no decoder for it.
            if stream.codec_context is None or stream.disposition & Disposition.attached_pic:
                continue
            stream.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            # The decoder itself refuses larger ones, before it takes memory for them.
            stream.codec_context.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}
            self.streams.append(stream)

    def close(self) -> None:
        """Let go of the container."""
        self.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_tracks(file: io.RawIOBase) -> PictureTracks:
    """Open a container.

    Raises:
        av.error.FFmpegError: It is no media file.
    """
    return PictureTracks(
        av.open(file, mode="r", metadata_errors="ignore", options={"format_whitelist": FORMATS})
    )
