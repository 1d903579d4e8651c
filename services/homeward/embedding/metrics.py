"""Figures of the embedding service; see `homeward.servicekit.metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from homeward.embedding.model import ModelPack

Task = Literal["detect", "embed", "analyze"]

INFERENCE_SECONDS = Histogram(
    "homeward_inference_seconds",
    "How long a thread worked on a batch: `detect` on pictures or parts of them, `embed` on faces,"
    " `analyze` on a reference photograph. Without the wait for a thread.",
    ["task"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
INFERENCE_ITEMS = Counter(
    "homeward_inference_items_total", "Pictures, parts of them, faces or photographs.", ["task"]
)
INFERENCE_THREADS = Gauge(
    "homeward_inference_threads", "Threads that there are: all busy when they work a second each."
)
MODEL_INFO = Gauge(
    "homeward_model_info", "1 for the model pack in use, with its digest.", ["pack", "digest"]
)


@contextmanager
def inference(task: Task, items: int) -> Iterator[None]:
    """Measure the work on a batch."""
    with INFERENCE_SECONDS.labels(task).time():
        yield
    INFERENCE_ITEMS.labels(task).inc(items)


def tell_model(model: ModelPack, *, threads: int) -> None:
    """Say which model pack runs, and on how many threads."""
    MODEL_INFO.labels(model.name, model.digest).set(1)
    INFERENCE_THREADS.set(threads)
