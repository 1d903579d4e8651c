"""The audit trail as bytes: events, hash chains, checkpoints. docs/audit.md is the specification.

The servers write it, and the command line verifies it without them.
"""
