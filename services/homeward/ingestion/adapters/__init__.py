"""What stands behind the ports of ingestion."""
