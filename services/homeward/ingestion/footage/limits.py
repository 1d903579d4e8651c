"""Bounds on recordings, beside those of `servicekit.cage`."""

from __future__ import annotations

from datetime import timedelta

MAX_PICTURE_PIXELS = 40_000_000
"""Most pixels of a picture. The largest level of H.264 and H.265 has 35.7 million."""

MIN_SIDE_PX = 32
"""Least length of either side of a picture: a smaller one shows no face that can be compared."""

MAX_SIDE_PX = 8192
"""Longest side of a picture that is searched; a larger picture is shrunk to it."""

MAX_PIXEL_ASPECT = 4.0
"""Largest ratio of a pixel's sides; a file that states more is in error."""

MAX_PICTURES = 10_000_000
"""Most pictures in all picture tracks of a recording together: 46 hours at 60 a second."""

MAX_TRACKS = 16
"""Most picture tracks of a file."""

MAX_HOLES = 2000
"""Most holes in a recording: with more it is no video, but single pictures."""

MAX_SPAN = timedelta(days=7)
"""Longest time from the first to the last picture of a recording, holes included."""

SPARSE_RATE = 5
"""Average pictures a second below which a segment is longer than the set length. It then has about
as many pictures as are searched in a segment of usual footage."""

MAX_SEGMENT = timedelta(hours=1)
"""Of pictures in a segment: a scanner that is stopped begins its segment again."""

RARE_RATE = 0.5
"""Average pictures a second below which a finding says that a passer-by may be on no picture."""

MAX_PICTURE_RATE = 1000.0
"""Most pictures a second that a file may state: one that states more is in error."""

MIN_MISSING = timedelta(seconds=0.5)
"""A recording that is as much shorter than its file states was cut off. A little less than stated
is usual: writers count pictures that they left out."""

DAMAGED_SHARE = 0.002
"""Share of pictures that are damaged in the file, above which a finding says so: one in 500. With
fewer, groups of pictures are whole for many seconds."""

REST_SHARE = 0.1
"""Share of a file after its last picture, above which a finding says so. Of usual recordings an
index is there, which takes a fiftieth."""

MIN_REST_BYTES = 64 * 1024
"""Bytes after the last picture, below which nothing is said."""

RARE_KEY_PICTURES = 3000
"""Pictures from a key picture to the next, above which key pictures count as rare: two minutes at
25 a second. Above it, a finding says so, and no segment ends in between, because the search of the
next segment would decode all of them again."""

MAX_KEY_PICTURES = 1_000_000
"""Most pictures from a key picture to the next: 11 hours at 25 a second. A segment in the middle
decodes those before it first. With segments of `MAX_SEGMENT`, a recording at 25 a second is decoded
six times, at 5 a second 28 times."""

MAX_EXAMINED_AT_ONCE = 2
"""Most recordings that a process examines at a time: each needs a cage of its own."""

COPY_SIDE_PX = 960
"""Longest side of the copy on which faces are detected, unless that is less than half of the
picture: a face of 24 pixels, the smallest that is compared, has 12 or more on it."""
