"""Clips of sightings, in which nobody but the subject can be recognised."""
