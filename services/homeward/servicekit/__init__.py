"""What every Homeward service is built with: server, errors, logging, settings, stores. Knows no domain."""
