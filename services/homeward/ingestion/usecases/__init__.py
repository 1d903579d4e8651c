"""What ingestion does, as verbs on ports."""
