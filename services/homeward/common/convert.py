"""What several services tell alike: what is held, and figures of a policy."""

from __future__ import annotations

from collections.abc import Mapping

from homeward.api.common.v1 import policy_pb2, retention_pb2
from homeward.core.inventory import HeldData
from homeward.core.policy import MOST_AGE_GROUPS, AgeFigures, Ages, Basis, PolicyFigures, Rate
from homeward.servicekit.errors import invalid_field
from homeward.servicekit.lifecycle import LifecycleSpan
from homeward.servicekit.wire import count_between, number_between, to_timestamp

MAX_GALLERY = 10_000_000
"""People who may be enrolled, as far as figures go."""

BASES: Mapping[Basis, policy_pb2.MeasurementBasis.ValueType] = {
    Basis.PHOTOGRAPHS: policy_pb2.MEASUREMENT_BASIS_PHOTOGRAPHS,
    Basis.FOOTAGE: policy_pb2.MEASUREMENT_BASIS_FOOTAGE,
}


def to_held(held: HeldData) -> retention_pb2.HeldData:
    """Return how much there is of one kind of data, as protobuf has it."""
    return retention_pb2.HeldData(
        name=held.name,
        count=held.count,
        size_bytes=held.size_bytes,
        oldest_time=to_timestamp(held.oldest) if held.oldest else None,
        overdue_count=held.overdue,
    )


def to_lifecycle(span: LifecycleSpan) -> retention_pb2.LifecycleSpan:
    """Return after how many days a store itself removes objects, as protobuf has it."""
    return retention_pb2.LifecycleSpan(
        prefix=span.prefix, shortest_days=span.shortest_days, longest_days=span.longest_days
    )


def to_encryption(algorithms: Mapping[str, str]) -> list[retention_pb2.BucketEncryption]:
    """Return the algorithms of buckets' encryption at rest, by their names."""
    return [
        retention_pb2.BucketEncryption(bucket=bucket, algorithm=algorithm)
        for bucket, algorithm in algorithms.items()
    ]


def to_figures(figures: PolicyFigures) -> policy_pb2.PolicyFigures:
    """Return what a threshold is worth as protobuf has it."""
    return policy_pb2.PolicyFigures(
        approved=figures.approved,
        gallery_size=figures.gallery_size,
        expected_fpir=to_rate(figures.expected_fpir),
        fnir=to_rate(figures.fnir),
        measured_gallery_size=figures.measured_gallery_size,
        age_figures=[
            policy_pb2.AgeFigures(
                ages=to_ages(one.ages),
                fnir=to_rate(one.fnir),
                identity_count=one.identities,
                basis=BASES[one.basis],
            )
            for one in figures.ages
        ],
    )


def to_ages(ages: Ages) -> policy_pb2.AgeRange:
    """Return ages as protobuf has them."""
    return policy_pb2.AgeRange(youngest_years=ages.youngest, oldest_years=ages.oldest)


def figures_from(figures: policy_pb2.PolicyFigures, path: str) -> PolicyFigures:
    """Return what a threshold was worth.

    Raises:
        InvalidArgumentError: A rate is none, or a gallery larger than can be.
    """
    for name in ("gallery_size", "measured_gallery_size"):
        number_between(getattr(figures, name), f"{path}.{name}", least=0, most=MAX_GALLERY)
    count_between(len(figures.age_figures), f"{path}.age_figures", least=0, most=MOST_AGE_GROUPS)
    return PolicyFigures(
        approved=figures.approved,
        gallery_size=figures.gallery_size,
        expected_fpir=rate_from(figures.expected_fpir, f"{path}.expected_fpir"),
        fnir=rate_from(figures.fnir, f"{path}.fnir"),
        measured_gallery_size=figures.measured_gallery_size,
        ages=tuple(
            _age_figures_from(one, f"{path}.age_figures[{index}]")
            for index, one in enumerate(figures.age_figures)
        ),
    )


def _age_figures_from(figures: policy_pb2.AgeFigures, path: str) -> AgeFigures:
    known = {value: basis for basis, value in BASES.items()}
    if figures.basis not in known:
        raise invalid_field(f"{path}.basis", "is required: photographs or footage")
    oldest = figures.ages.oldest_years if figures.ages.HasField("oldest_years") else None
    try:
        ages = Ages(figures.ages.youngest_years, oldest)
    except ValueError as error:
        raise invalid_field(f"{path}.ages", f"are no ages: {error}") from error
    return AgeFigures(
        ages=ages,
        fnir=rate_from(figures.fnir, f"{path}.fnir"),
        identities=int(
            number_between(
                figures.identity_count, f"{path}.identity_count", least=0, most=MAX_GALLERY
            )
        ),
        basis=known[figures.basis],
    )


def to_rate(rate: Rate) -> policy_pb2.ErrorRate:
    """Return an error rate as protobuf has it."""
    return policy_pb2.ErrorRate(
        value=rate.value, low=rate.low, high=rate.high, trial_count=rate.trials
    )


def rate_from(rate: policy_pb2.ErrorRate, path: str) -> Rate:
    """Return an error rate.

    Raises:
        InvalidArgumentError: It is none.
    """
    try:
        return Rate(rate.value, rate.low, rate.high, rate.trial_count)
    except ValueError as error:
        raise invalid_field(path, f"is no error rate: {error}") from error
