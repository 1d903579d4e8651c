"""The audit trail: an event for each call that touches personal data, and for each act without one.

docs/audit.md is the specification; docs/decisions/0021 has what was decided and why.
"""
