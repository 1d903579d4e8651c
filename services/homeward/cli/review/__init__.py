"""Reviewing candidates one after the other, in a terminal or from a file."""
