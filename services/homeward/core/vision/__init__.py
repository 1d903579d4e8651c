"""Geometry and quality of faces, for `embedding` and `ingestion`: pure functions on arrays."""
