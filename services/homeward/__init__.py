"""Homeward finds missing and vulnerable people in recorded CCTV."""
