"""Make a block-quantised ONNX model one that every runtime runs: weights as plain float32.

OpenCV Zoo's int8bq files keep each weight as int8 blocks behind `DequantizeLinear(block_size)` and
`Reshape`. Neither onnxruntime nor OpenVINO runs that; folding computes the weights once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


def fold(source: bytes, *, any_size: bool, split_prelu: bool = False) -> bytes:
    """Return the model with float32 weights, for batches of any length.

    Args:
        source: An ONNX file.
        any_size: Whether height and width become free too; the network must be fully convolutional.
        split_prelu: Whether `PRelu` is written as `relu(x) - slope * relu(-x)`, which is the same:
            onnxruntime keeps its own order of channels over those, and reorders for `PRelu`. SFace
            takes it 21 ms a face instead of 34; OpenVINO gains nothing.
    """
    model = onnx.load_model_from_string(source)
    graph = model.graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            values[node.output[0]] = _dequantised(node, values)
        elif node.op_type == "Reshape" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].reshape(values[node.input[1]])
        else:
            kept.append(node)
    if split_prelu:
        kept = [part for node in kept for part in _split(node)]
    for shape in {node.input[1] for node in kept if node.op_type == "Reshape"}:
        # A target of [1, -1, k] fixes the batch at one; 0 stands for "as it comes".
        values[shape] = np.concatenate([[0], values[shape][1:]]).astype(np.int64)
    used = {name for node in kept for name in node.input}
    # SFace also lists its weights as inputs.
    inputs = [value for value in graph.input if value.name in used and value.name not in values]
    outputs = list(graph.output)
    for value in inputs:
        _free_axes(value, (0, 2, 3) if any_size else (0,))
    for value in outputs:
        _free_axes(value, (0, 1) if any_size else (0,))
    weights = [
        numpy_helper.from_array(np.ascontiguousarray(value), name)
        for name, value in values.items()
        if name in used
    ]
    graph.CopyFrom(onnx.helper.make_graph(kept, graph.name, inputs, outputs, weights))
    return bytes(model.SerializeToString())


def _split(node: Any) -> list[Any]:  # noqa: ANN401 - onnx ships no types
    """Return the nodes that do what a `PRelu` does; any other node as it is."""
    if node.op_type != "PRelu":
        return [node]
    (value, slope), (result,) = node.input, node.output
    make, names = onnx.helper.make_node, [f"{result}:{part}" for part in range(4)]
    above, negated, below, scaled = names
    return [
        make("Relu", [value], [above]),
        make("Neg", [value], [negated]),
        make("Relu", [negated], [below]),
        make("Mul", [below, slope], [scaled]),
        make("Sub", [above, scaled], [result]),
    ]


def _dequantised(node: Any, values: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:  # noqa: ANN401 - onnx ships no types
    """Return (quantised - zero point) x scale, each scale standing for a block along one axis."""
    quantised, scale, zero_point = (values[name] for name in node.input)
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    axis, block = attributes["axis"], attributes["block_size"]
    whole = [slice(length) for length in quantised.shape]  # the last block may be a short one
    scale, zero_point = (
        np.repeat(value, block, axis)[tuple(whole)].astype(np.float32)
        for value in (scale, zero_point)
    )
    result: NDArray[np.float32] = (quantised.astype(np.float32) - zero_point) * scale
    return result


def _free_axes(value: Any, axes: Sequence[int]) -> None:  # noqa: ANN401 - onnx ships no types
    for axis in axes:
        value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{axis}"
