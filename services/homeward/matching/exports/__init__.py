"""Packages of confirmed sightings, for other bodies."""
