"""Sessions of onnxruntime and OpenVINO: one thread a call, on what was asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from homeward.core.packs import PackError

CPU = ("CPUExecutionProvider",)


def require_providers(providers: Sequence[str]) -> None:
    """Refuse execution providers that this onnxruntime lacks; it would only warn, and use the CPU.

    Raises:
        PackError: One is absent; names those that are there.
    """
    there = onnxruntime.get_available_providers()
    absent = [name for name in providers if name not in there]
    if absent or not providers:
        raise PackError(
            f"onnxruntime has no execution provider {', '.join(absent) or 'to run on'}",
            f"HOMEWARD_EXECUTION_PROVIDERS can be of {', '.join(there)}; a GPU needs another"
            " build, such as onnxruntime-gpu instead of onnxruntime",
        )


def open_session(model: bytes, providers: Sequence[str]) -> onnxruntime.InferenceSession:
    """Return a session whose calls each run in their caller's thread.

    Args:
        model: An ONNX file.
        providers: Of onnxruntime, the preferred one first.

    Raises:
        PackError: The preferred provider is there, but does not start.
    """
    if "CUDAExecutionProvider" in providers:
        onnxruntime.preload_dlls()  # CUDA's libraries may have come as Python packages
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=list(providers))
    if session.get_providers()[0] != providers[0]:  # it fell back, with a warning
        raise PackError(
            f"the execution provider {providers[0]} does not start on this machine",
            "onnxruntime's lines above say why; mostly a driver or library of the GPU is missing",
        )
    return session


def runtime_of(session: onnxruntime.InferenceSession) -> str:
    """Return what runs a session, such as `onnxruntime/CPUExecutionProvider`."""
    return f"onnxruntime/{session.get_providers()[0]}"


def openvino_runner(
    model: bytes, *, threads: int
) -> Callable[[NDArray[Any]], list[NDArray[np.float32]]]:
    """Return what runs a model of one input on OpenVINO; it answers all outputs, in their order.

    Args:
        model: An ONNX file.
        threads: Callers at a time, each of which has a stream and a thread.
    """
    import openvino  # noqa: PLC0415 - slow to import, and absent on some machines

    core = openvino.Core()
    options = {
        # The default is bf16 where the CPU claims it, and some of those die with SIGILL.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
    }
    compiled = core.compile_model(core.read_model(model), "CPU", options)
    local = threading.local()

    def run(blob: NDArray[Any]) -> list[NDArray[np.float32]]:
        if not hasattr(local, "request"):  # a request serves one thread
            local.request = compiled.create_infer_request()
        answer = local.request.infer(blob)
        return [np.array(answer[number]) for number in range(len(compiled.outputs))]

    return run
