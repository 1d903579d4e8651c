"""The people who are looked for."""
