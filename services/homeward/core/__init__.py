"""What several services share of the domain."""
