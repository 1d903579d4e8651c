"""Recordings come in, are searched, and go again: footage, scans, and the scanner."""
