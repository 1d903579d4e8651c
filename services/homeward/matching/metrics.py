"""Figures of matching; see `homeward.servicekit.metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from homeward.core.promise import Verdict
from homeward.matching.activity.promise import compare_last_days
from homeward.matching.policies.catalogue import Policies
from homeward.matching.retention import Retention, RetentionReport
from homeward.matching.sightings.model import Decision, Disposition
from homeward.servicekit import errors
from homeward.servicekit.activity import ActivityCounts
from homeward.servicekit.clock import Clock

PROBES = Counter(
    "homeward_match_probes_total",
    "Templates compared with the gallery; an appearance has several.",
)
SIGHTINGS = Counter(
    "homeward_sightings_total",
    "Findings of scanners: `recorded`, `joined` to a sighting that there was, or dropped, as"
    " `rejected before` or because of `subject closed`, `footage removed` or `scan refused`; or"
    " `stills needed`: they come again with their stills.",
    ["outcome"],
)
REVIEWS = Counter("homeward_sighting_reviews_total", "Decisions of reviewers.", ["decision"])
# A series that begins at 1 has not increased, as Prometheus sees it: the first one would be missed.
for _outcome in Disposition:
    SIGHTINGS.labels(_outcome.value)
for _decision in Decision:
    REVIEWS.labels(_decision.value)

POLICY_IN_FORCE = Gauge(
    "homeward_policy_in_force",
    "1 while a policy is in force; 0 while all comparisons are refused for want of one.",
)
POLICY_INFO = Gauge(
    "homeward_policy_info",
    "1 for the policy in force; in evaluation mode nobody need have approved it.",
    ["policy_id", "model_digest", "approved", "evaluation"],
)
POLICY_THRESHOLD = Gauge(
    "homeward_policy_threshold",
    "Least cosine similarity of a candidate, of the policy in force.",
    ["policy_id"],
)
POLICY_VALID_UNTIL = Gauge(
    "homeward_policy_valid_until_timestamp_seconds",
    "When the approval of the active policy ends, or has ended; absent without one.",
    ["policy_id"],
)

SIGHTINGS_LOST = Gauge(
    "homeward_sightings_lost",
    "Sightings that were recorded, and that the vector store has lost: lists are not complete.",
)
UNKNOWN_COLLECTIONS = Gauge(
    "homeward_unknown_collections",
    "Collections of the vector store that no record names, as after an older state was restored:"
    " they may hold what was erased, and nothing removes them.",
)

PROMISE_BROKEN = Gauge(
    "homeward_promise_broken",
    "1 if more candidates of the last 30 days were wrong than was promised, and chance does not"
    " explain it, as the transparency report judges a month; 0 if that is not shown.",
)
WRONG_RATE = Gauge(
    "homeward_wrong_candidate_rate",
    "Appearances of the last 30 days that had a wrong candidate, as reviewed, of those compared:"
    " `value`, and `low` and `high` of its 95 % interval; absent while none was compared.",
    ["bound"],
)
PROMISED_RATE = Gauge(
    "homeward_promised_wrong_candidate_rate",
    "The same as promised, in the mean over the candidates; absent while nothing is promised.",
    ["bound"],
)


async def measure_promise(counts: ActivityCounts, policies: Policies, clock: Clock) -> None:
    """Say how often candidates are wrong, what was promised, and whether that is broken."""
    found = await compare_last_days(counts, policies, clock)
    PROMISE_BROKEN.set(found.verdict is Verdict.BROKEN)
    for gauge, rate in ((WRONG_RATE, found.observed), (PROMISED_RATE, found.promised)):
        gauge.clear()
        if rate is not None:
            gauge.labels("value").set(rate.value)
            gauge.labels("low").set(rate.low)
            gauge.labels("high").set(rate.high)


async def measured_report(retention: Retention) -> RetentionReport:
    """Return what is held, and say what is lost or has come back."""
    report = await retention.report()
    SIGHTINGS_LOST.set(report.lost_sightings)
    UNKNOWN_COLLECTIONS.set(len(report.unknown_files))
    return report


async def measure_policy(policies: Policies) -> None:
    """Say which policy is in force, and until when."""
    active = next((one for one in await policies.find() if one.active), None)
    try:
        policy = await policies.in_force()
    except errors.FailedPreconditionError:
        policy = None
    for gauge in (POLICY_INFO, POLICY_THRESHOLD, POLICY_VALID_UNTIL):
        gauge.clear()
    POLICY_IN_FORCE.set(policy is not None)
    if active is not None and active.approval is not None:
        POLICY_VALID_UNTIL.labels(active.file.policy_id).set(active.approval.end.timestamp())
    if policy is not None:
        approved = policy.approval is not None
        POLICY_INFO.labels(
            policy.policy_id,
            policy.model_digest,
            str(approved).lower(),
            str(policy.evaluation).lower(),
        ).set(1)
        POLICY_THRESHOLD.labels(policy.policy_id).set(policy.threshold)
