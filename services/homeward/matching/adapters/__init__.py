"""What stands behind the ports of matching."""
