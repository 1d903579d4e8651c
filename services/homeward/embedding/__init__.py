"""Finds faces in pictures and turns them into templates. Stateless; keeps nothing."""
