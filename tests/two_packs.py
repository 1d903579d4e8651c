"""`homeward up` with a model pack more: `turned`, so that no test need download one.

It is yunet-sface, with templates in another order and two numbers longer: as alike to each other as
those are, and like none of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from homeward.embedded import up
from homeward.embedded.plan import SERVICE_COMMANDS
from homeward.embedding import __main__ as service
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.ports import FaceRecogniser, LoadedPack
from homeward.embedding.settings import EmbeddingSettings

NAME, DIGEST = "turned", "7" * 64


class Turned:
    """A recogniser whose templates are another's, turned."""

    def __init__(self, recogniser: FaceRecogniser) -> None:
        self._recogniser = recogniser

    def embed(
        self, faces: NDArray[np.uint8], widths_px: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        return np.pad(self._recogniser.embed(faces, widths_px)[:, ::-1], ((0, 0), (0, 2)))


def turned(settings: EmbeddingSettings) -> LoadedPack:
    pack = load_configured(settings.model_copy(update={"model_pack": "yunet-sface"}))
    size = pack.model.template_size + 2
    model = replace(pack.model, name=NAME, digest=DIGEST, template_size=size)
    return replace(pack, recogniser=Turned(pack.recogniser), model=model)


def serve() -> None:
    settings = EmbeddingSettings()
    if settings.model_pack == NAME:
        service.load_configured = turned
    asyncio.run(service.serve(settings))


def run() -> None:
    options = up.UpOptions(
        data=Path(os.environ["HOMEWARD_DATA"]),
        evaluation=True,
    )
    up.run(
        options,
        environment=os.environ,
        say=lambda line: click.echo(line, err=True),
        on_ready=lambda state: click.echo(json.dumps(state)),
        commands={**SERVICE_COMMANDS, "embedding": (sys.executable, __file__, "embedding")},
    )


if __name__ == "__main__":
    serve() if sys.argv[1] == "embedding" else run()
