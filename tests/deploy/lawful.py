"""What production has to ask of those who search and decide; docs/security.md says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from deploy.access import AUTH_FILE, rules_of
from deploy.manifests import Manifests
from homeward.servicekit.identity.rules import AuthFileError, AuthRules

MOST_HOURS = 48
"""Within which a search is authorised: EU AI Act, art. 26(10)."""

STATED: Mapping[str, Mapping[str, tuple[Callable[[str], bool], str]]] = {
    "matching": {
        "HOMEWARD_TWO_REVIEWERS": ("true".__eq__, "one person confirms a sighting"),
        "HOMEWARD_SEPARATE_REVIEWERS": (
            "true".__eq__,
            "whoever asked for a search confirms what it found",
        ),
    },
    "ingestion": {
        "HOMEWARD_TARGETED_SCANS": (
            "true".__eq__,
            "a search names neither people nor cameras, and no reason",
        ),
        "HOMEWARD_SCAN_AUTHORISATION_HOURS": (
            lambda value: value.isdecimal() and 0 < int(value) <= MOST_HOURS,
            f"nobody authorises a search within {MOST_HOURS} hours",
        ),
        "HOMEWARD_AUTHORISE_OWN_SCANS": ("false".__eq__, "people authorise their own searches"),
    },
}
"""By component: what it must state itself, and what may be where it does not.

Defaults do not count: an overlay that leaves one out says nothing when the default is another.
"""

RULED: Mapping[str, tuple[Callable[[AuthRules], bool], str]] = {
    "require_purpose": (lambda rules: rules.require_purpose, "nobody says what they search for"),
    "restrict_to_cases": (
        lambda rules: rules.restrict_to_cases,
        "everybody sees the cases of everybody",
    ),
}
"""What the auth file must rule, and what may be where it does not."""


def lawful(manifests: Manifests) -> Iterator[str]:
    """In production, searches are targeted and authorised, and two other people confirm."""
    if not manifests.is_production:
        return
    for workload, container in manifests.containers():
        wanted = STATED.get(workload.component)
        if wanted is None:
            continue
        variables = {one["name"]: one.get("value", "") for one in container.get("env", [])}
        for name, (holds, otherwise) in wanted.items():
            if not holds(variables.get(name, "")):
                given = variables.get(name) or "not stated"
                yield f"{workload.name}: {name} is {given}: {otherwise}"
        if AUTH_FILE not in variables:
            continue  # which `access` tells
        try:
            rules = rules_of(manifests, workload, container, variables[AUTH_FILE])
        except AuthFileError:
            continue  # as above
        for name, (ruled, otherwise) in RULED.items():
            if not ruled(rules):
                yield f"{workload.name}: {name} is off in its auth file: {otherwise}"
