#!/bin/sh
# Prepare the models in an environment that deploy/install.sh made for the embedding service, to
# which what that takes is added.
# Usage: deploy/models.sh LOCK ENVIRONMENT FOLDER
set -eu
lock=$1 environment=$2 folder=$3
python3 -m pip --python "$environment/bin/python" --disable-pip-version-check --quiet install \
  --no-deps --only-binary :all: --root-user-action ignore --require-hashes --requirement "$lock"
HOMEWARD_MODEL_CACHE_DIR=$folder "$environment/bin/python" -m homeward.embedding.prepare
