"""Nothing is served of which nobody has said who may call it."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2

from homeward.api.common.v1 import options_pb2
from homeward.api.matching.v1 import subject_service_pb2
from homeward.servicekit.identity.access import UndeclaredRpcError, declared_access
from homeward.servicekit.identity.caller import Role
from homeward.servicekit.server import GrpcServer, Service
from homeward.servicekit.settings import ServiceSettings

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


def added(name: str, **options: object) -> str:
    """Add a service with one RPC to the known protos; return its full name."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"test/{name}.proto",
        package="homeward.test",
        dependency=[health_pb2.DESCRIPTOR.name, options_pb2.DESCRIPTOR.name],
    )
    method = file.service.add(name=name).method.add(
        name="Do",
        input_type=".grpc.health.v1.HealthCheckRequest",
        output_type=".grpc.health.v1.HealthCheckResponse",
    )
    for option, value in options.items():
        if option == "roles":
            method.options.Extensions[options_pb2.access].roles.extend(value)
        else:
            method.options.Extensions[options_pb2.operation] = value
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    return f"homeward.test.{name}"


def test_an_rpc_may_be_called_by_the_roles_that_it_names() -> None:
    name = subject_service_pb2.DESCRIPTOR.services_by_name["SubjectService"].full_name

    access = declared_access([name])[f"{name}/CreateSubject"]
    assert access.roles == {Role.SUBJECT_ADMIN}
    assert access.operation == options_pb2.OPERATION_COLLECTION


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Nothing", {}),
        ("NoRoles", {"operation": options_pb2.OPERATION_NONE}),
        ("NoOperation", {"roles": [options_pb2.ROLE_AUDITOR]}),
        (
            "Unspecified",
            {
                "roles": [options_pb2.ROLE_UNSPECIFIED, options_pb2.ROLE_AUDITOR],
                "operation": options_pb2.OPERATION_NONE,
            },
        ),
    ],
)
def test_a_server_with_an_rpc_that_lacks_options_does_not_start(
    name: str, options: dict[str, object]
) -> None:
    service = Service(added(name, **options), lambda *_: None, None)

    with pytest.raises(UndeclaredRpcError, match=rf"homeward\.test\.{name}/Do: state"):
        GrpcServer.configured(ServiceSettings(), [service], checks={})


@pytest.mark.parametrize("name", [HEALTH, "homeward.test.OfNoProto"])
def test_a_service_without_options_is_not_served_as_one_of_ours(name: str) -> None:
    with pytest.raises(UndeclaredRpcError, match=name):
        declared_access([name])
