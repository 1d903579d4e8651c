"""What matching does, as verbs on ports."""
