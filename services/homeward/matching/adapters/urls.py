"""Where a Qdrant server is, by its URL."""

from __future__ import annotations

from urllib.parse import urlsplit

HTTP_PORT, HTTPS_PORT = 6333, 443
"""Of a URL that names none: Qdrant's own, and that of https, where a proxy stands before it."""


def with_port(url: str) -> str:
    """Return the URL of a server with the port that is meant when it names none.

    Raises:
        ValueError: Its port is no number.
    """
    parts = urlsplit(url)
    if parts.port is not None or not parts.hostname:
        return url
    port = HTTPS_PORT if parts.scheme == "https" else HTTP_PORT
    return parts._replace(netloc=f"{parts.netloc.removesuffix(':')}:{port}").geturl()


def shown(url: str) -> str:
    """Return the URL of a server for messages: with its port, and without a user's name."""
    parts = urlsplit(with_port(url))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
