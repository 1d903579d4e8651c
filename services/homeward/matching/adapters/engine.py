"""Qdrant's client: a server by URL, or its local mode in one folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException

from homeward.servicekit import errors
from homeward.servicekit.executor import BoundedExecutor

TIMEOUT_SECONDS = 5

P = ParamSpec("P")
T = TypeVar("T")


def connect(*, url: str | None, path: Path | None, api_key: str | None = None) -> QdrantClient:
    """Return a client of the server at `url`, or of the local mode in the folder `path`."""
    if url:
        return QdrantClient(
            url=url, api_key=api_key, timeout=TIMEOUT_SECONDS, check_compatibility=False
        )
    return QdrantClient(path=str(path))


class QdrantEngine:
    """Runs the client, which blocks, in threads.

    Args:
        client: What `connect` returned.
        executor: One worker for the local mode, which is not thread-safe.
        address: URL or "its local folder", for messages.
    """

    def __init__(self, client: QdrantClient, executor: BoundedExecutor, address: str) -> None:
        self.client = client
        self._executor = executor
        self._address = address

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a client call.

        Raises:
            UnavailableError: The server does not answer.
        """
        try:
            return await self._executor.run(call, *args, **kwargs)
        except (ResponseHandlingException, ApiException) as error:
            raise errors.unavailable(
                "Qdrant", self._address, "start it, or correct HOMEWARD_QDRANT_URL"
            ) from error
        except ValueError as error:  # of the local mode, where a server answers 404
            if not str(error).endswith("not found"):
                raise
            raise errors.unavailable("Qdrant", self._address, "it has lost a collection") from error

    async def ping(self) -> None:
        """Answer when the engine does."""
        await self.run(self.client.get_collections)
