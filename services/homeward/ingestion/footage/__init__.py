"""Recordings: how they come, what they are, how they go."""
