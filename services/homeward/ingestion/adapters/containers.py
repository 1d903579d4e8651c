"""PyAV: opening the container of a recording."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, Self

import av
import av.error
from av.codec.context import CodecContext
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
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

WITHOUT_TIMES = frozenset({"h264", "hevc", "m4v", "mjpeg", "mpegvideo"})
"""Formats that are pictures one after the other, without times: FFmpeg makes some up."""

_OPTIONS = {
    "format_whitelist": FORMATS,
    # A transport stream may number its tracks anew, as after a restart of the recorder: they go on.
    "merge_pmt_versions": "1",
}


class PictureTracks:
    """An open container and its picture tracks, without covers of sound files."""

    def __init__(self, container: InputContainer) -> None:
        self.container = container
        self.streams: list[VideoStream] = []
        for stream in container.streams.video:
            # None: FFmpeg has no decoder for it.
            if stream.codec_context is None or stream.disposition & Disposition.attached_pic:
                continue
            _bound(stream.codec_context)
            self.streams.append(stream)

    def packets(self, streams: Sequence[VideoStream]) -> Iterator[Any]:
        """Yield the packets of tracks, in the file's order.

        After them PyAV yields empty ones, which have no place in the file, to flush decoders. It
        may fail there if a track has begun that was not known when the file was opened.
        """
        for packet in self.container.demux(streams):
            if packet.size:
                yield packet
            elif packet.pos is None:
                return

    def close(self) -> None:
        """Let go of the container."""
        self.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def another_decoder(stream: VideoStream) -> VideoCodecContext:
    """Return a decoder of a track's pictures beside its own."""
    context = stream.codec_context
    other = CodecContext.create(context.codec, "r")
    assert isinstance(other, VideoCodecContext), "a decoder of pictures"
    other.extradata = context.extradata
    _bound(other)
    return other


def _bound(context: VideoCodecContext) -> None:
    context.thread_type = "NONE"
    context.thread_count = 1
    # The decoder itself refuses larger ones, before it takes memory for them.
    context.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}


def open_tracks(file: io.RawIOBase) -> PictureTracks:
    """Open a container.

    Raises:
        av.error.FFmpegError: It is no media file.
    """
    return PictureTracks(av.open(file, mode="r", metadata_errors="ignore", options=dict(_OPTIONS)))
