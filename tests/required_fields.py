"""Calls with nothing in them, which a service refuses where the protos call a field required."""

from __future__ import annotations

from typing import Any

from google.api import field_behavior_pb2
from google.api.field_behavior_pb2 import FieldBehavior
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass


def calls_with_required_fields(*files: FileDescriptor) -> list[MethodDescriptor]:
    """Return the RPCs, but those that stream requests, of whose request a field is required."""
    return [
        method
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
        if not method.client_streaming
        and any(
            FieldBehavior.REQUIRED
            in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
            for field in method.input_type.fields
        )
    ]


async def call_with_nothing(stub: Any, method: MethodDescriptor) -> None:
    """Call an RPC with an empty request, up to the first answer."""
    call = getattr(stub, method.name)(GetMessageClass(method.input_type)())
    await (call.read() if method.server_streaming else call)
