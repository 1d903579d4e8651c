"""Sessions of onnxruntime: one thread a call, on the execution providers that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime

from homeward.packs import PackError

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
