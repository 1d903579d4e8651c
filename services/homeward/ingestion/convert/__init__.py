"""The API's messages of ingestion, to and from its models."""
