"""Candidates, and what reviewers decided."""
