"""Searches of recordings."""
