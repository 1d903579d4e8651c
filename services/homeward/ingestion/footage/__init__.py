"""Recordings: upload, examination, storage and erasure."""
