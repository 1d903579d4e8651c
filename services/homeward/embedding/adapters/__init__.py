"""The models and the picture formats behind the ports."""
