"""Making collections in Qdrant, and the indexes of what their points are filtered by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

EXACT = models.SearchParams(exact=True, quantization=models.QuantizationSearchParams(ignore=True))
"""How every search is done: all vectors are compared, as they are.

Qdrant's own way (a graph, HNSW, above 20,000 points a segment) finds most of the nearest ones only:
of 600 true matches among 100,000 people it lost 13 to 265 (docs/architecture.md)."""


def create(client: QdrantClient, collection: str, *, kinds: Sequence[str], size: int) -> None:
    """Make a collection, if it is not there.

    Args:
        client: Of Qdrant.
        collection: Its name.
        kinds: Of vectors.
        size: Length of each.
    """
    try:
        client.create_collection(
            collection,
            vectors_config={
                kind: models.VectorParams(size=size, distance=models.Distance.COSINE)
                for kind in kinds
            },
            # No graph: `EXACT` searches use none.
            hnsw_config=models.HnswConfigDiff(m=0),
            # Whatever the server's strict mode says of others.
            strict_mode_config=models.StrictModeConfig(search_allow_exact=True),
        )
    except (ApiException, ValueError):
        if not client.collection_exists(collection):
            raise
        # Another replica came first.


def index(
    client: QdrantClient, collection: str, fields: Mapping[str, models.PayloadSchemaType]
) -> None:
    """Make the indexes of fields that are filtered by; those that are there are left as they are.

    Without them each filter reads every payload, and a strict mode refuses it. Which there are is
    not asked: the client refuses a description with a word that it does not know, as that of a
    newer server may have.

    Args:
        client: Of a server: the local mode has no indexes.
        collection: Its name.
        fields: Of the payload, each with the type of its values.
    """
    for field, schema in fields.items():
        client.create_payload_index(collection, field, field_schema=schema, wait=True)
