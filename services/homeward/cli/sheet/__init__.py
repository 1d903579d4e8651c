"""The contact sheet of a subject: what was found, where, when, and what was not searched."""
