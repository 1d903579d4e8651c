"""The code that runs in a cage of ingestion: examining a file, and decoding its pictures.

`python -m homeward.ingestion.cage` is the caged process; `adapters.media` and `adapters.probe` are
the service's side of it.
"""
