"""Moving what is left of a collection into other files, under another key."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.opening import Target
from homeward.matching.adapters.points import kind_of, struct, vectors_of
from homeward.matching.gallery import register
from homeward.matching.gallery.model import ModelInfo
from homeward.servicekit.lease import Proceed


async def rebuild(
    access: CollectionAccess, proceed: Proceed, *, model: ModelInfo | None = None
) -> bool:
    """Copy all points into a collection under a new key, use that, and drop the old one.

    Searches see the old collection until the new one is complete, then the new one. A rebuild
    that broke off anywhere is begun anew, with another successor: only whoever has filled a
    successor puts it in use, so that two at a time do no harm.

    Args:
        access: To the collection.
        proceed: Asked before each batch; False ends this, to be begun anew later.
        model: Another model to pin it to; points are left without their vectors then.

    Returns:
        Whether it is done.
    """
    record = (await access.collections.open()).record
    other = model if model and model.digest != record.model_digest else None
    if other or record.rebuild_due:
        made = replace(register.new_name(access.layout.name), model=other)
        await access.register.change(partial(register.with_successor, made))
        opened = await access.collections.open()
        if opened.next is None or opened.next.collection != made.collection:
            return False  # another replica has begun one too
        async for points in access.pages(
            opened.current, None, size=access.engine.batch, with_vectors=True
        ):
            if not await proceed():
                return False
            await _copy(access, points, opened.current, opened.next)
        await access.register.change(partial(register.with_swap, made))
        if (await access.collections.open()).record.collection != made.collection:
            return False  # another replica has begun one meanwhile, and this one is not used
    retired = (await access.collections.open()).record.retired
    for collection in retired:
        await access.collections.drop(collection)
    await access.register.change(partial(register.without_retired, retired))
    return True


async def _copy(
    access: CollectionAccess, points: list[Any], current: Target, successor: Target
) -> None:
    """Copy some points, again if somebody changes them meanwhile."""
    names = [str(point.id) for point in points]
    same = current.model.digest == successor.model.digest
    copied: dict[str, object] = {}
    while points:
        vectors = vectors_of(points, current) if same else {}
        copies = [
            struct(
                str(point.id),
                kind_of(point),
                vectors.get(str(point.id)),
                point.payload or {},
                successor,
            )
            for point in points
        ]
        await access.engine.upsert(successor.collection, copies)
        # A write goes to both: what has come since the read above, this may have overwritten.
        now = await access.points(current, names)
        there = {str(point.id) for point in now}
        if gone := [name for name in names if name not in there]:
            await access.engine.delete(successor.collection, gone)
        copied |= {str(point.id): (point.vector, point.payload) for point in points}
        points = [p for p in now if copied.get(str(p.id)) != (p.vector, p.payload)]
