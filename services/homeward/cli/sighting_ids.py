"""The id of a sighting by its beginning."""

from __future__ import annotations

from homeward.api.matching.v1 import sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli.options import Session, begins_uuid, full_id
from homeward.cli.paging import all_pages


def full_sighting_id(session: Session, given: str) -> str:
    """Return the id that `given` is, or is the only one to begin with.

    Raises:
        CliError: No id begins so, or several do.
    """
    stub = SightingServiceStub(session.connections.channel("matching"))
    request = sighting_service_pb2.ListSightingsRequest(id_prefix=given)

    def known() -> list[str]:
        if not begins_uuid(given):
            return []
        listed = all_pages(stub.ListSightings, request, lambda page: page.sightings)
        return [one.sighting_id for one in listed]

    return full_id("sighting", given, known)
