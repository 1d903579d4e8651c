"""`python -m homeward.embedding.prepare`: prepare the models of `yunet-sface` for an image.

It needs onnx and the package with the models; the service that finds them prepared needs neither.
"""

from __future__ import annotations

import sys

from homeward.core.packs import PackError
from homeward.embedding.adapters import yunet_sface
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.settings import EmbeddingSettings

if __name__ == "__main__":
    settings = EmbeddingSettings()
    try:
        yunet_sface.prepare(settings.model_cache_dir)
        load_configured(settings)  # an image whose models do not run is not made
    except (PackError, OSError) as error:
        sys.exit(f"embedding: {error}")
