"""Threshold policies on the wire."""

from __future__ import annotations

from typing import Any

import grpc

from homeward.api.matching.v1 import policy_pb2, policy_service_pb2, policy_service_pb2_grpc
from homeward.matching.convert import policies as convert_policies
from homeward.matching.policies.catalogue import Policies
from homeward.matching.policies.model import Policy
from homeward.servicekit import wire
from homeward.servicekit.clock import Clock
from homeward.servicekit.identity.caller import acting_name
from homeward.servicekit.paging import page_by

Context = grpc.aio.ServicerContext[Any, Any]


class PolicyServicer(policy_service_pb2_grpc.PolicyServiceServicer):
    """`homeward.api.matching.v1.PolicyService`."""

    def __init__(self, policies: Policies, clock: Clock) -> None:
        self._policies = policies
        self._clock = clock

    async def AddPolicy(
        self, request: policy_service_pb2.AddPolicyRequest, _: Context
    ) -> policy_service_pb2.AddPolicyResponse:
        policy = await self._policies.add(
            convert_policies.policy_file_from(request.file), request.file
        )
        return policy_service_pb2.AddPolicyResponse(policy=self._stated(policy))

    async def GetPolicy(
        self, request: policy_service_pb2.GetPolicyRequest, _: Context
    ) -> policy_service_pb2.GetPolicyResponse:
        policy = await self._policies.get(convert_policies.policy_id_from(request.policy_id))
        return policy_service_pb2.GetPolicyResponse(policy=self._stated(policy))

    async def ListPolicies(
        self, request: policy_service_pb2.ListPoliciesRequest, _: Context
    ) -> policy_service_pb2.ListPoliciesResponse:
        found = await self._policies.find()
        items, token = page_by(request, found, lambda policy: (policy.file.policy_id,))
        return policy_service_pb2.ListPoliciesResponse(
            policies=[self._stated(policy) for policy in items], next_page_token=token
        )

    async def ApprovePolicy(
        self, request: policy_service_pb2.ApprovePolicyRequest, _: Context
    ) -> policy_service_pb2.ApprovePolicyResponse:
        policy = await self._policies.approve(
            convert_policies.policy_id_from(request.policy_id),
            approver=acting_name(request.approver, "approver", most=200),
            valid_until=convert_policies.valid_until_from(request, now=self._clock.now()),
            note=wire.text(request.note, "note", most=1000),
        )
        return policy_service_pb2.ApprovePolicyResponse(policy=self._stated(policy))

    async def ActivatePolicy(
        self, request: policy_service_pb2.ActivatePolicyRequest, _: Context
    ) -> policy_service_pb2.ActivatePolicyResponse:
        policy = await self._policies.activate(convert_policies.policy_id_from(request.policy_id))
        return policy_service_pb2.ActivatePolicyResponse(policy=self._stated(policy))

    async def ExpirePolicy(
        self, request: policy_service_pb2.ExpirePolicyRequest, _: Context
    ) -> policy_service_pb2.ExpirePolicyResponse:
        policy = await self._policies.expire(
            convert_policies.policy_id_from(request.policy_id),
            reason=wire.text(request.reason, "reason", least=1, most=1000),
        )
        return policy_service_pb2.ExpirePolicyResponse(policy=self._stated(policy))

    def _stated(self, policy: Policy) -> policy_pb2.Policy:
        return convert_policies.to_stated_policy(policy, now=self._clock.now())
