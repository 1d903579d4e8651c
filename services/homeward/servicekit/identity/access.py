"""Who may call which RPC, from the options in the descriptors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf import descriptor_pool

from homeward.api.common.v1 import options_pb2
from homeward.servicekit.identity.caller import Role

_ROLES: Mapping[int, Role] = {
    options_pb2.ROLE_INVESTIGATOR: Role.INVESTIGATOR,
    options_pb2.ROLE_REVIEWER: Role.REVIEWER,
    options_pb2.ROLE_SUBJECT_ADMIN: Role.SUBJECT_ADMIN,
    options_pb2.ROLE_UPLOADER: Role.UPLOADER,
    options_pb2.ROLE_AUDITOR: Role.AUDITOR,
    options_pb2.ROLE_OPERATOR: Role.OPERATOR,
    options_pb2.ROLE_SERVICE: Role.SERVICE,
    options_pb2.ROLE_AUTHORISER: Role.AUTHORISER,
}


class UndeclaredRpcError(Exception):
    """RPCs that do not state who may call them, or how calls are logged."""


@dataclass(frozen=True, slots=True)
class RpcAccess:
    """What the proto states of an RPC."""

    roles: frozenset[Role]
    """Those that may call it; at least one."""
    operation: int
    """How a call is to be logged: an `options_pb2.Operation`."""


def declared_access(services: Iterable[str]) -> dict[str, RpcAccess]:
    """Return what is stated of each RPC of some services, by `Call.rpc`.

    Args:
        services: Full names, such as `homeward.api.matching.v1.SubjectService`.

    Raises:
        UndeclaredRpcError: An RPC lacks an option, or a service is of no proto.
    """
    found: dict[str, RpcAccess] = {}
    undeclared: list[str] = []
    for name in services:
        try:
            service = descriptor_pool.Default().FindServiceByName(name)
        except KeyError:
            undeclared.append(name)
            continue
        for method in service.methods:
            options = method.GetOptions().Extensions
            roles = options[options_pb2.access].roles
            operation = options[options_pb2.operation]
            rpc = f"{name}/{method.name}"
            if operation and roles and all(role in _ROLES for role in roles):
                found[rpc] = RpcAccess(frozenset(_ROLES[role] for role in roles), operation)
            else:
                undeclared.append(rpc)
    if undeclared:
        raise UndeclaredRpcError(
            f"{', '.join(undeclared)}: state (access) and (operation) in the proto; nothing is"
            " served of which nobody has said who may call it"
        )
    return found
