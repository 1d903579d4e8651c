"""What a process shows of itself while it runs: metrics, spans, and lines in its log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homeward.servicekit import metrics, tracing
from homeward.servicekit.logs import configure_logging
from homeward.servicekit.settings import ServiceSettings


@contextmanager
def observed(component: str, settings: ServiceSettings) -> Iterator[None]:
    """Log, serve metrics and send spans, as the settings say, while the block runs.

    Args:
        component: `ingestion`, `scanner`, `embedding` or `matching`.
        settings: Where to.

    Raises:
        OSError: The address of the metrics cannot be bound.
    """
    configure_logging(component, settings.log_level)
    with (
        metrics.served(settings.metrics_listen),
        tracing.exported(component, settings.traces_endpoint),
    ):
        yield
