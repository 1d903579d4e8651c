"""Which operating point candidates are chosen by, and who answers for it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from homeward.core.policy import PolicyFile, figures_of, read_policy
from homeward.matching.gallery.model import ModelInfo
from homeward.matching.gallery.ports import FaceAnalyzer
from homeward.matching.policies.model import Approval, Policy, PolicyState, ThresholdPolicy
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore, edit

FRESH = timedelta(seconds=5)
"""How long a replica goes on with what it has read: what another one changes counts after this. A
scan compares every few hundred milliseconds, and must not read three records each time. An approval
that ends by itself ends on time."""

COUNTED = timedelta(minutes=1)
"""How old the number of enrolled people may be for a comparison: counting reads all their records.
Who asks for the policy alone, as a scan does when it is created, has it counted anew."""

_ACTIVE = "active"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Approved:
    """Record of the newest approval of a policy."""

    policy_id: str
    approval: Approval


@dataclass(frozen=True, slots=True)
class _Active:
    """Record of which policy is active."""

    policy_id: str
    activate_time: datetime


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read at a time."""

    time: datetime
    model: ModelInfo
    policy: Policy | None


class Policies:
    """The policies, their approvals, and the one that is active.

    A policy's file is written once and never changed, so that an approval stays an approval of what
    was looked at. A shipped one is copied when it is approved or activated: the next version of
    Homeward may not bring it any more.

    Args:
        store: The records.
        shipped: The files that come with Homeward.
        faces: Names the model pack in use.
        count_enrolled: Returns how many people can be found.
        clock: Tells the time.
        evaluation: Whether a policy need not be approved.

    Raises:
        PolicyError: A shipped file is no policy.
    """

    def __init__(
        self,
        *,
        store: KeyValueStore,
        shipped: Sequence[bytes],
        faces: FaceAnalyzer,
        count_enrolled: Callable[[], Awaitable[int]],
        clock: Clock,
        evaluation: bool,
    ) -> None:
        self._store = store
        self._shipped = {read_policy(data).policy_id: data for data in shipped}
        self._faces = faces
        self._count_enrolled = count_enrolled
        self._clock = clock
        self._evaluation = evaluation
        self._model: ModelInfo | None = None
        self._read: _Read | None = None
        self._counted: tuple[datetime, int] | None = None
        self._outgrown = ""

    async def add(self, file: PolicyFile, data: bytes) -> Policy:
        """Add a policy; the same file again changes nothing.

        Args:
            file: What is in it.
            data: Its bytes.

        Raises:
            AlreadyExistsError: `POLICY_EXISTS`, when another file has its id.
        """
        held = await self._data(file.policy_id)
        if held is None:
            try:
                await self._store.create(_file(file.policy_id), data)
            except ConflictError:
                held = await self._data(file.policy_id)
        if held is not None and held != data:
            raise errors.AlreadyExistsError(
                f"there is another policy {file.policy_id}, and a policy never changes; give this"
                " one an id of its own",
                reason=errors.Reason.POLICY_EXISTS,
                metadata={"policy_id": file.policy_id},
            )
        return await self.get(file.policy_id)

    async def get(self, policy_id: str) -> Policy:
        """Return a policy.

        Raises:
            NotFoundError: `POLICY_NOT_FOUND`.
        """
        data = await self._data(policy_id)
        if data is None:
            raise errors.NotFoundError(
                f"there is no policy {policy_id}",
                reason=errors.Reason.POLICY_NOT_FOUND,
                metadata={"policy_id": policy_id},
            )
        return await self._policy(data, active=await self._active_id())

    async def find(self) -> list[Policy]:
        """Return all policies, by their ids."""
        files = {
            read_policy(entry.value).policy_id: entry.value
            for entry in await self._store.entries("file.*")
        }
        active = await self._active_id()
        everything = self._shipped | files  # what was added or approved counts
        return [await self._policy(everything[name], active=active) for name in sorted(everything)]

    async def approve(
        self, policy_id: str, *, approver: str, valid_until: datetime, note: str
    ) -> Policy:
        """Approve a policy, in the place of an approval before; the same again changes nothing.

        Raises:
            NotFoundError: `POLICY_NOT_FOUND`.
        """
        await self._keep(policy_id)
        now = self._clock.now()
        new = Approval(approver, note, now, valid_until)

        async def change(value: bytes | None) -> bytes | None:
            held = records.decode(value, _Approved).approval if value else None
            if held is not None and replace(held, approve_time=now) == new:
                return None
            return records.encode(_Approved(policy_id, new))

        await edit(self._store, _approval(policy_id), change)
        self._read = None
        return await self.get(policy_id)

    async def activate(self, policy_id: str) -> Policy:
        """Have candidates chosen by a policy from now on.

        Raises:
            NotFoundError: `POLICY_NOT_FOUND`.
            FailedPreconditionError: `POLICY_NOT_APPROVED`, `POLICY_EXPIRED`,
                `POLICY_MODEL_MISMATCH`.
        """
        policy = await self.get(policy_id)
        self._require(policy, await self.model_in_use())
        await self._keep(policy_id)

        async def change(value: bytes | None) -> bytes | None:
            if value and records.decode(value, _Active).policy_id == policy_id:
                return None
            return records.encode(_Active(policy_id, self._clock.now()))

        await edit(self._store, _ACTIVE, change)
        self._read = None
        return await self.get(policy_id)

    async def expire(self, policy_id: str, *, reason: str) -> Policy:
        """End the approval of a policy; one that has ended stays as it is.

        Raises:
            NotFoundError: `POLICY_NOT_FOUND`.
            FailedPreconditionError: `POLICY_NOT_APPROVED`, when there never was one.
        """
        await self.get(policy_id)
        now = self._clock.now()

        async def change(value: bytes | None) -> bytes | None:
            if value is None:
                raise errors.FailedPreconditionError(
                    f"nobody has approved policy {policy_id}, so there is no approval to end",
                    reason=errors.Reason.POLICY_NOT_APPROVED,
                    metadata={"policy_id": policy_id},
                )
            held = records.decode(value, _Approved)
            if now >= held.approval.end:
                return None
            ended = replace(held.approval, expire_time=now, expire_reason=reason)
            return records.encode(replace(held, approval=ended))

        await edit(self._store, _approval(policy_id), change)
        self._read = None
        return await self.get(policy_id)

    async def in_force(self, *, gallery_size: int = 0, recount: bool = False) -> ThresholdPolicy:
        """Return the operating point of a search.

        Outside of evaluation mode that is the active policy. Inside it is the active one, or else
        the newest shipped one of the model pack in use, approved or not.

        Args:
            gallery_size: Enrolled people that the search compares with; 0 for all.
            recount: Count all anew, instead of going on with a number up to a minute old.

        Raises:
            FailedPreconditionError: `POLICY_NOT_APPROVED`, `POLICY_EXPIRED`,
                `POLICY_MODEL_MISMATCH`.
            UnavailableError: The records or the embedding service do not answer.
        """
        now = self._clock.now()
        read = self._read
        if read is None or not timedelta() <= now - read.time < FRESH:
            read = self._read = await self._read_again(now)
        if read.policy is None:
            raise await self._none_active(read.model)
        self._require(read.policy, read.model)
        approved = read.policy.state_at(now) is PolicyState.APPROVED
        file = read.policy.file
        return ThresholdPolicy(
            policy_id=file.policy_id,
            model_digest=file.model_digest,
            threshold=file.threshold,
            measurement=file.measurement,
            figures=figures_of(
                file.measurement,
                approved=approved,
                gallery_size=gallery_size or await self._enrolled(now, file, recount=recount),
            ),
            approval=read.policy.approval if approved else None,
            evaluation=self._evaluation,
        )

    async def _read_again(self, now: datetime) -> _Read:
        model = await self.model_in_use()
        active = await self._active_id()
        policy = await self.get(active) if active else None
        if self._evaluation and (policy is None or policy.file.model_digest != model.digest):
            came = [await self.get(name) for name in self._shipped]
            fitting = [one for one in came if one.file.model_digest == model.digest]
            newest = max(fitting, key=lambda one: one.file.measurement.make_time, default=None)
            policy = newest or policy
        return _Read(now, model, policy)

    async def _enrolled(self, now: datetime, file: PolicyFile, *, recount: bool) -> int:
        counted = self._counted
        # Nobody is no number to go on with: whoever is found was enrolled since.
        if counted is None or not counted[1] or not timedelta() <= now - counted[0] < COUNTED:
            recount = True
        if recount or counted is None:
            counted = self._counted = (now, await self._count_enrolled())
            self._warn(file, counted[1])
        return counted[1]

    def _warn(self, file: PolicyFile, enrolled: int) -> None:
        """Tell once when the gallery has outgrown the measurement."""
        outgrown = file.policy_id if enrolled > file.measurement.gallery_size else ""
        if outgrown and outgrown != self._outgrown:
            log.warning(
                "more people are enrolled than the policy was measured with",
                policy_id=file.policy_id,
                enrolled=enrolled,
                measured=file.measurement.gallery_size,
            )
        self._outgrown = outgrown

    def _require(self, policy: Policy, model: ModelInfo) -> None:
        """Refuse a policy that candidates may not be chosen by."""
        name = policy.file.policy_id
        if policy.file.model_digest != model.digest:
            raise errors.FailedPreconditionError(
                f"policy {name} was measured with another model pack than {model.name}, which is in"
                " use: activate a policy that was measured with that",
                reason=errors.Reason.POLICY_MODEL_MISMATCH,
                metadata={
                    "policy_id": name,
                    "expected": model.digest,
                    "received": policy.file.model_digest,
                },
            )
        if self._evaluation:
            return
        state = policy.state_at(self._clock.now())
        if state is PolicyState.UNAPPROVED:
            raise errors.FailedPreconditionError(
                f"policy {name} is not approved: a named person must approve it first",
                reason=errors.Reason.POLICY_NOT_APPROVED,
                metadata={"policy_id": name},
            )
        if state is PolicyState.EXPIRED:
            assert policy.approval is not None, "there was one"
            end = policy.approval.end
            raise errors.FailedPreconditionError(
                f"the approval of policy {name} ended at {end:%Y-%m-%d %H:%M} UTC: a named person"
                " must approve it again, if it still holds",
                reason=errors.Reason.POLICY_EXPIRED,
                metadata={"policy_id": name, "expire_time": end.isoformat()},
            )

    async def _none_active(self, model: ModelInfo) -> errors.FailedPreconditionError:
        """Return the refusal without an active policy, with the policy to activate, if any."""
        fitting = [one for one in await self.find() if one.file.model_digest == model.digest]
        now = self._clock.now()
        approved = [one for one in fitting if one.state_at(now) is PolicyState.APPROVED]
        if approved:
            name = approved[-1].file.policy_id
            remedy = f"activate policy {name}, which is approved"
        elif fitting:
            name = fitting[-1].file.policy_id
            remedy = f"have policy {name} approved by a named person, and activate it"
        else:
            name = ""
            remedy = f"add a policy that was measured with {model.name}"
        return errors.FailedPreconditionError(
            "no threshold policy is active, so nobody is compared with anybody; do this first:"
            f" {remedy}",
            reason=errors.Reason.POLICY_NOT_APPROVED,
            metadata={"policy_id": name},
        )

    async def model_in_use(self) -> ModelInfo:
        """Return the model that templates are made with now, or were made with last.

        Raises:
            UnavailableError: The embedding service does not answer, and has not yet.
        """
        try:
            self._model = await self._faces.model()
        except errors.UnavailableError:
            # It restarts, most likely with the same models; the gallery refuses others anyway.
            if self._model is None:
                raise
        return self._model

    async def _active_id(self) -> str:
        entry = await self._store.get(_ACTIVE)
        return records.decode(entry.value, _Active).policy_id if entry else ""

    async def _data(self, policy_id: str) -> bytes | None:
        entry = await self._store.get(_file(policy_id))
        return entry.value if entry else self._shipped.get(policy_id)

    async def _policy(self, data: bytes, *, active: str) -> Policy:
        file = read_policy(data)
        entry = await self._store.get(_approval(file.policy_id))
        return Policy(
            file=file,
            sha256=hashlib.sha256(data).hexdigest(),
            shipped=self._shipped.get(file.policy_id) == data,
            active=file.policy_id == active,
            approval=records.decode(entry.value, _Approved).approval if entry else None,
        )

    async def _keep(self, policy_id: str) -> None:
        """Store the file of a policy, unless it is stored."""
        await self.get(policy_id)
        if policy_id in self._shipped:
            with suppress(ConflictError):
                await self._store.create(_file(policy_id), self._shipped[policy_id])


def _file(policy_id: str) -> str:
    return f"file.{_digest(policy_id)}"


def _approval(policy_id: str) -> str:
    return f"approval.{_digest(policy_id)}"


def _digest(policy_id: str) -> str:
    # An id may have characters that a key may not.
    return hashlib.sha256(policy_id.encode()).hexdigest()[:32]
