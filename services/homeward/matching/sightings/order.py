"""The order in which candidates are handed to a reviewer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from homeward.matching.sightings.model import Sighting

GROUP_GAP = timedelta(minutes=1)
"""Sightings of a camera that are nearer to each other than this are a group: a reviewer judges them
better together, and often they show one person."""
GROUP_LONGEST = timedelta(minutes=15)
"""From the beginning of the first of a group to that of its last. Without it, all day before a
busy door would be one group."""


def in_order(sightings: Iterable[Sighting], *, begun: Collection[str] = ()) -> list[Sighting]:
    """Return sightings in groups by camera and time, the group with the highest score first.

    Within a group the highest score comes first. What is equal comes by time, then by id, so that
    the order is the same whoever asks.

    Args:
        sightings: To put in order.
        begun: Sightings that the reviewer holds; groups with one of them come first, so that a
            group is gone through to its end.
    """
    groups = [sorted(group, key=best_first) for group in _groups(sightings)]

    def rank(group: Sequence[Sighting]) -> tuple[bool, float, float, str]:
        going_on = any(one.sighting_id in begun for one in group)
        return (not going_on, *best_first(group[0]))

    return [one for group in sorted(groups, key=rank) for one in group]


def _groups(sightings: Iterable[Sighting]) -> list[list[Sighting]]:
    groups: list[list[Sighting]] = []
    for one in sorted(sightings, key=lambda each: (each.camera_id, each.start_time)):
        group = groups[-1] if groups else []
        if group and one.camera_id == group[0].camera_id and _belongs(one, group):
            group.append(one)
        else:
            groups.append([one])
    return groups


def _belongs(one: Sighting, group: Sequence[Sighting]) -> bool:
    until = max(each.end_time for each in group)
    began = group[0].start_time
    return one.start_time - until <= GROUP_GAP and one.start_time - began <= GROUP_LONGEST


def group_of(one: Sighting, near: Iterable[Sighting], *, since: datetime) -> list[Sighting] | None:
    """Return the group of a sighting, the best one first, of what is near it on its camera.

    Args:
        one: The sighting.
        near: All that end after `since` and begin before the group can end; it may be among them.
        since: A time before it begins.

    Returns:
        The group; None if what was before `since` may be part of it, or have to do with where it
        begins.
    """
    sightings = sorted(
        {each.sighting_id: each for each in (*near, one)}.values(), key=lambda each: each.start_time
    )
    until, first = since, None
    for number, each in enumerate(sightings):
        if each.start_time > one.start_time:
            break
        if each.start_time - until > GROUP_GAP:
            first = number  # whatever was before it: no group goes on over this gap
        until = max(until, each.end_time)
    if first is None:
        return None
    group = next(group for group in _groups(sightings[first:]) if one in group)
    return sorted(group, key=best_first)


def best_first(one: Sighting) -> tuple[float, float, str]:
    """Return the sort key that orders sightings by their score, the highest first."""
    return (-one.score, one.start_time.timestamp(), one.sighting_id)
