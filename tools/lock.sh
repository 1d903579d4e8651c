#!/bin/sh
# Write the lock files again: every package with the hashes of all its files, and no registry host.
# Needs `uv`. Usage: tools/lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."
lock() {
  out=$1
  shift
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "tools/lock.sh" \
    --output-file "requirements/$out.txt" "$@" >/dev/null
}
lock cli pyproject.toml ${1:-}
lock server pyproject.toml --extra server --group build ${1:-}
lock dev pyproject.toml --extra server --group build --group dev --constraints requirements/server.txt ${1:-}
# Not opencv-python, which would overwrite opencv-python-headless: see pyproject.toml.
lock insightface pyproject.toml --extra insightface --group build --no-emit-package opencv-python \
  --constraints requirements/server.txt ${1:-}
lock demo --no-deps --group demo ${1:-}
lock peers --group peers ${1:-}
lock checkov --group checkov ${1:-}
