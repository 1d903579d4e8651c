"""The commands, one module a noun, imported when they are used."""
