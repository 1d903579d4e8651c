"""The cameras that recordings come from."""
