"""The servable folder, and the one object behind batch and online tagging."""
