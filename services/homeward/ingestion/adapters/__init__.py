"""Adapters behind the ports of ingestion."""
