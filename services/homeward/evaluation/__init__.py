"""Measuring a model pack on labelled photographs and footage: `homeward evaluate`."""
