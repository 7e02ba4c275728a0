"""Drivers: a run as values, its steps, its end; batch tagging."""
