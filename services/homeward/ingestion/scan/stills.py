"""The stills of candidates: the pictures that somebody was compared by, fit to be looked at.

They are made of candidates alone. Pictures of people who match nobody are dropped with their
appearance, as `shots` says.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeward.ingestion.scan.ports import DraftStill, FaceImages, Still
from homeward.ingestion.scan.shots import Appearance
from homeward.servicekit.executor import BoundedExecutor


class StillMaker:
    """Makes the stills of appearances.

    Args:
        images: Makes one, in a thread of `executor`.
        executor: Threads.
    """

    def __init__(self, *, images: FaceImages, executor: BoundedExecutor) -> None:
        self._images = images
        self._executor = executor

    async def make(self, found: Sequence[Appearance]) -> list[list[Still]]:
        """Return a still of each picture of each appearance, in the order of the pictures."""
        return [
            [await self._executor.run(self._images.still, shot.portrait) for shot in one.shots]
            for one in found
        ]


def draft_stills(
    appearance: Appearance, stills: Sequence[Still], scores: Sequence[float | None]
) -> tuple[DraftStill, ...]:
    """Return the stills of a finding, in order of time.

    Args:
        appearance: Whom they show: at most `MAX_SHOTS` pictures, spread over its time.
        stills: Of its pictures.
        scores: Of these alone, with the subject of the finding; None of those below the threshold.
    """
    made = [
        DraftStill(
            offset=shot.offset,
            score=score,
            face_height_px=shot.box.height,
            face=still.face,
            quality=shot.quality,
            picture=still.picture,
        )
        for shot, still, score in zip(appearance.shots, stills, scores, strict=True)
    ]
    return tuple(sorted(made, key=lambda one: one.offset))
