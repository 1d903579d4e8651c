"""Asking every node of a Qdrant cluster whether a collection is gone.

A collection is deleted by the consensus of the cluster. A node that is away then keeps its files
until it is back and has caught up, while the others say that there is no such collection.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

ASK_SECONDS = 3
"""How long the node that is asked waits for the others."""

_DETAILS = 2
"""Least level of detail with which a node tells what it has not applied yet."""


def doubt(client: QdrantClient, collection: str) -> str:
    """Return why a node of the server may still hold a collection; empty when none does.

    Args:
        client: Says that it has no such collection.
        collection: Its name.
    """
    if not client.init_options.get("url"):
        return ""  # the local mode, in one folder
    asked = client.http.distributed_api
    try:
        status = asked.cluster_status().result
        if status is None or status.status != "enabled":
            return ""  # one node, which has answered
        told = asked.cluster_telemetry(details_level=_DETAILS, timeout=ASK_SECONDS).result
    except UnexpectedResponse as error:
        return _unasked(error)
    return _doubt_of(status.peers, told, collection)


def _doubt_of(
    known: Iterable[str], told: models.DistributedTelemetryData | None, collection: str
) -> str:
    if told is None or told.cluster is None:
        return "the cluster does not tell what each node holds"
    if collection in told.collections:
        return "a node of the cluster still has them"
    peers = told.cluster.peers
    names = {*known, *peers}
    away = sorted(name for name in names if name not in peers or not peers[name].responsive)
    if away:
        where = ", ".join(peers[name].uri if name in peers else name for name in away)
        return (
            f"{len(away)} of {len(names)} nodes of the cluster do not answer ({where}), and remove"
            " their files once they are back; of a node that never comes back, remove them by hand"
        )
    details = [peers[name].details for name in names]
    known_details = [one for one in details if one is not None]
    if len(known_details) < len(details):
        return "the cluster does not tell what each node has done"
    newest = max(one.commit for one in known_details)
    behind = sum(one.commit < newest or one.num_pending_operations > 0 for one in known_details)
    if behind:
        return f"{behind} of {len(names)} nodes of the cluster are not up to date yet"
    return ""


def _unasked(error: UnexpectedResponse) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return "this version of Qdrant cannot be asked what each node of its cluster holds"
    if error.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "Homeward's key for Qdrant may not ask what each node of its cluster holds"
    raise error
