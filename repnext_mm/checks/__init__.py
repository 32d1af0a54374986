"""Checks of a config, its data and its checkpoint against each other, before anything slow."""
