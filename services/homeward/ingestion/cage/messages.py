"""The messages between the service and a cage of ingestion.

The service sends a task, and answers the messages of the cage that need an answer, in order, until
the task is done. A cage that was taken over may send anything, so the service checks sizes and
numbers.
"""

from __future__ import annotations

import msgspec


class Examine(msgspec.Struct, tag=True):
    """Task: examine a file. Ends with `Examination`."""

    size: int
    """Of the file, bytes."""


class Open(msgspec.Struct, tag=True):
    """Task: open a file for decoding. Ends with `Done`."""

    size: int
    """Of the file, bytes."""
    track: int
    """Number of its picture track among all of its tracks."""
    transpose: bool
    """How its pictures are turned upright: rows become columns,"""
    mirror_x: bool
    """then left and right are exchanged,"""
    mirror_y: bool
    """and top and bottom."""
    pixel_aspect: float
    """Width of a pixel, in parts of its height."""


class Decode(msgspec.Struct, tag=True):
    """Task: decode a piece of the open file. The times and places of its pictures come with it.

    Ends with `Done`.
    """

    first: int
    """Ordinal of the first picture that is told of, which is the one to decode from."""
    position: int
    """Where that is in the file; negative when it is not known."""
    stamps: tuple[int, ...]
    """Stamps that a seek by time may aim at, ticks of the track, best first."""
    start: int
    """Microseconds of the timeline; earlier pictures are not wanted."""
    end: int
    """As `start`; pictures from here on are not wanted."""
    period: int
    """Microseconds between two pictures that are wanted; 0 where `at` names them."""
    at: tuple[int, ...]
    """Times of the pictures that are wanted, in order."""
    skip: str
    """FFmpeg's word for the pictures that are not decoded."""
    may_be_late: bool
    """Whether to go on where the first picture that decodes comes well after `first`."""
    small: bool
    """Whether the copies of the pictures are all that is wanted."""


Task = Examine | Open | Decode


class Need(msgspec.Struct, tag=True):
    """From a cage: give me a block of the file. Answered by `Block` and its bytes, or `Stop`."""

    number: int


class Block(msgspec.Struct, tag=True):
    """A block of the file follows."""


class Room(msgspec.Struct, tag=True):
    """From a cage: a picture needs room in the shared memory. Answered by `Go` or `Stop`."""

    size: int
    """Bytes."""


class Picture(msgspec.Struct, tag=True):
    """From a cage: a picture is in the room that it has. Answered by `Go` or `Stop`."""

    time: int
    """Microseconds of the timeline."""
    width: int
    """Of the picture, pixels, even. Its planes Y, U and V come one after the other, unless its copy
    is all that is wanted."""
    height: int
    copy_width: int
    """Of the copy that follows it, likewise."""
    copy_height: int
    colorspace: int


class Alive(msgspec.Struct, tag=True):
    """From a cage: still at it, with no picture to give yet. Answered by `Go` or `Stop`."""


class Go(msgspec.Struct, tag=True):
    """Go on."""

    place: int = 0
    """Where the next picture may be written, bytes from the beginning of the shared memory."""
    room: int = 0
    """Bytes that it may take there; 0 where this answers no picture and asks for no room."""


class Stop(msgspec.Struct, tag=True):
    """End the task: no more is needed."""


class Done(msgspec.Struct, tag=True):
    """From a cage: the task is done, as far as the file allows."""

    problem: str = ""
    """Why the file cannot be opened, as part of a sentence."""
    late: bool = False
    """Nothing was given, because pictures are complete only well after the first one."""


class TrackFacts(msgspec.Struct):
    """A picture track."""

    index: int
    """Among all tracks of the file."""
    codec: str
    width: int
    """As stored, pixels."""
    height: int
    pictures: int
    size: int
    """Bytes of all of its pictures."""
    decodes: bool


class Examination(msgspec.Struct, tag=True):
    """From a cage: facts about a file, or its problem.

    The stamps of its pictures follow: five arrays of as many, see `STAMPS`.
    """

    problem: str = ""
    track: int = 0
    """Number of the track that was chosen, among all of the file's."""
    tracks: list[TrackFacts] = []
    container: str = ""
    pixel_format: str = ""
    pixel_aspect: float = 1.0
    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False
    interlaced: bool = False
    rate: float = 0.0
    """Pictures a second that the file states; 0 where it does not."""
    anchor_share: float = 1.0
    """Of the pictures, those that are decoded without B pictures."""
    reference_share: float = 1.0
    """Of the pictures, those that others are decoded from."""
    tick: float = 0.0
    """Seconds."""
    declared_pictures: int = 0
    declared_seconds: float = 0.0
    cut_off: bool = False
    damaged: int = 0
    """Pictures, but for a last one that is cut off, of which a part is missing."""
    size: int = 0
    """Of the file, bytes."""
    rest: int = 0
    """Bytes after its last picture."""
    first_decoded: int = 0
    """Ordinal of the first picture that decodes."""
    count: int = 0
    """Pictures."""


FromCage = Need | Room | Picture | Alive | Done | Examination
ToCage = Task | Block | Go | Stop
