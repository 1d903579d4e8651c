"""Taking in finished recordings by themselves: from a folder, or from a bucket."""
