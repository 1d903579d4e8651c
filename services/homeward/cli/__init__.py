"""`homeward`, the command-line client: commands, stubs, rendering, and nothing of the services."""
