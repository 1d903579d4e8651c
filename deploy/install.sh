#!/bin/sh
# Install what a lock file lists, and Homeward, into an environment of their own, without pip.
# deploy/Dockerfile makes images of it; tools/images.py looks at it without an image.
# Usage: deploy/install.sh LOCK WHEELS ENVIRONMENT
set -eu
lock=$1 wheels=$2 environment=$3
python3 -m venv --without-pip "$environment"
# --no-deps: the lock is complete, and leaves out on purpose what some packages ask for.
pip="python3 -m pip --python $environment/bin/python --disable-pip-version-check --quiet install
  --no-deps --no-compile --only-binary :all: --root-user-action ignore"
$pip --require-hashes --requirement "$lock"
$pip --no-index --find-links "$wheels" homeward-cctv
# What nothing here runs: the packages' own tests, and OpenVINO's plugins for Intel's GPU and NPU and
# its readers of formats other than ONNX.
packages=$(echo "$environment"/lib/python3*/site-packages)
find "$packages" -type d \( -name tests -o -name SelfTest \) -prune -exec rm -r {} +
for part in intel_gpu_plugin intel_npu_plugin gguf_frontend jax_frontend paddle_frontend \
  pytorch_frontend tensorflow_frontend tensorflow_lite_frontend; do
  rm -f "$packages/openvino/libs/libopenvino_$part.so"*
done
rm -f "$packages/openvino/libs/cache.json"  # of the GPU plugin
# Checked against no time stamp: the tree is read-only, and copying may change times.
"$environment/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$environment/lib"
