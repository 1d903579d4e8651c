"""The transparency report: how much Homeward was used, in numbers that tell of nobody."""
