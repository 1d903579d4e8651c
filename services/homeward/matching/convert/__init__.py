"""The API's messages of matching, to and from its models."""
