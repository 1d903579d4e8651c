"""How much Homeward was used, as auditors are told."""
