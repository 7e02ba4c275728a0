"""Batch tagging: inputs, plan, units of work, duplicates, published generations."""
