"""Bounds on what is taken in, beside those of `servicekit.cage`."""

from __future__ import annotations

from datetime import timedelta

MAX_PICTURE_PIXELS = 40_000_000
"""Of a picture of a recording. The largest level of H.264 and H.265 has 35.7 million."""

MIN_SIDE_PX = 32
"""Of either side of a picture of a recording: less shows no face that can be compared."""

MAX_SIDE_PX = 8192
"""A picture whose longer side is more is shrunk to it."""

MAX_PIXEL_ASPECT = 4.0
"""A pixel that a file says to be wider, or higher, than so many times its other side is an error of
the file."""

MAX_PICTURES = 10_000_000
"""Of all picture tracks of a recording together: 46 hours at 60 a second."""

MAX_TRACKS = 16
"""Picture tracks of a file."""

MAX_HOLES = 2000
"""Times in a recording that no picture answers for. More is no video, but pictures now and then."""

MAX_SPAN = timedelta(days=7)
"""From the first to the last picture of a recording, holes included."""

SPARSE_RATE = 5
"""Pictures a second, on average, below which a segment is longer than the set length: it has about
as many pictures then as a segment of usual footage has that are looked at."""

MAX_SEGMENT = timedelta(hours=1)
"""Of pictures in a segment: a scanner that is stopped begins its segment again."""

RARE_RATE = 0.5
"""Pictures a second, on average, below which it is told that whoever passes may be on none."""

RARE_KEY_PICTURES = 3000
"""After a key picture, up to the next one: two minutes at 25 a second. Where there are more it is
told, and no segment ends between them: the next one's search would decode all of them again."""

MAX_KEY_PICTURES = 1_000_000
"""After a key picture, up to the next one: 11 hours at 25 a second. A segment in the middle decodes
as many before its own. With segments of `MAX_SEGMENT`, a recording at 25 a second is decoded six
times, at 5 a second 28 times."""

MAX_EXAMINED_AT_ONCE = 2
"""Recordings that a process examines at a time: each needs a cage of its own."""

COPY_SIDE_PX = 960
"""Longest side of the copy that faces are looked for on, unless that is less than half of the
picture: a face of 24 pixels, the least that is compared, has 12 or more on it."""
