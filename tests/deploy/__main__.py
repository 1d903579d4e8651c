"""Check every overlay, then seed faults and list which check caught each: `make manifests`."""

from __future__ import annotations

import sys

from deploy.checks import CHECKS, QUICK
from deploy.faults import FAULTS, caught
from deploy.manifests import load, overlays


def main() -> int:
    """Return 0 if every overlay is right and every fault was caught."""
    problems = 0
    for overlay in overlays():
        manifests = load(overlay)
        found = {check.__name__: list(check(manifests)) for check in CHECKS}
        count = sum(map(len, found.values()))
        print(f"{overlay}: {len(manifests.documents)} documents, {len(CHECKS)} checks,", end=" ")
        print(f"{count} problems")
        for name, each in found.items():
            print("".join(f"  {name}: {problem}\n" for problem in each), end="")
        problems += count
    missed = 0
    print(f"\n{'fault':58} {'caught by':14} saying")
    for fault in FAULTS:
        quick = fault.caught_by in QUICK
        found = caught(fault, QUICK if quick else (*QUICK, fault.caught_by))
        told = found.get(fault.caught_by.__name__, [])
        missed += not told
        others = [name for name in found if name != fault.caught_by.__name__]
        print(f"{fault.words:58} {fault.caught_by.__name__:14} {told[0] if told else 'MISSED'}")
        if others:
            print(f"{'':58} {'and by':14} {', '.join(others)}")
    print(f"\n{len(FAULTS)} faults, {missed} missed")
    return 1 if problems or missed else 0


if __name__ == "__main__":
    sys.exit(main())
