"""A stand-in for an AdaFace that an operator exported, whose right answers are known: those of
`yunet-sface`.

SFace takes RGB, 0 to 255. Before it stand nodes that take what AdaFace takes (BGR, -1 to 1), and
after it such as measure from the pack's centre, and give what AdaFace gives: 512 values of unit
length, and the length beside them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from homeward.embedding.adapters import yunet_sface

SIZE = 512
FILE = "adaface_ir101.onnx"


def model() -> bytes:
    """Return the ONNX file."""
    sface = onnx.load_model_from_string(
        yunet_sface.folded(yunet_sface.SFACE, any_size=False, cache=None, split_prelu=True)
    )
    graph = sface.graph
    (given,), (answer,) = graph.input, graph.output
    before = [
        helper.make_node("Mul", ["adaface_face", "adaface_scale"], ["adaface_scaled"]),
        helper.make_node("Add", ["adaface_scaled", "adaface_scale"], ["adaface_bgr"]),
        helper.make_node("Gather", ["adaface_bgr", "adaface_rgb"], [given.name], axis=1),
    ]
    after = [
        helper.make_node("ReduceL2", [answer.name, "adaface_axis"], ["adaface_norm"], keepdims=1),
        helper.make_node("Div", [answer.name, "adaface_norm"], ["adaface_sface"]),
        helper.make_node("Sub", ["adaface_sface", "adaface_centre"], ["adaface_centred"]),
        helper.make_node(
            "ReduceL2", ["adaface_centred", "adaface_axis"], ["adaface_length"], keepdims=1
        ),
        helper.make_node("Div", ["adaface_centred", "adaface_length"], ["adaface_unit"]),
        helper.make_node("Pad", ["adaface_unit", "adaface_pads"], ["adaface_vector"]),
    ]
    size = answer.type.tensor_type.shape.dim[1].dim_value
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.float32(127.5), "adaface_scale"),
            numpy_helper.from_array(np.array([2, 1, 0]), "adaface_rgb"),
            numpy_helper.from_array(np.array([1]), "adaface_axis"),
            numpy_helper.from_array(yunet_sface.centres().photograph, "adaface_centre"),
            numpy_helper.from_array(np.array([0, 0, 0, SIZE - size]), "adaface_pads"),
        ]
    )
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.append(
        helper.make_tensor_value_info("adaface_face", TensorProto.FLOAT, ["n", 3, 112, 112])
    )
    for name, values in (("adaface_vector", SIZE), ("adaface_norm", 1)):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", values]))
    return bytes(sface.SerializeToString())


def write(folder: Path) -> Path:
    """Write the file into a folder, made for it, and return that."""
    folder.mkdir()
    (folder / FILE).write_bytes(model())
    return folder
