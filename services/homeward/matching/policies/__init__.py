"""Thresholds: what was measured, who approved it."""
