"""The verdict store: what judges said, kept beyond any run, asked for once."""
