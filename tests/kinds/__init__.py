"""Recordings of the kinds that recorders export, made by the tests themselves with PyAV."""
