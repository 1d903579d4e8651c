"""What every Homeward service is built with; knows no domain."""
