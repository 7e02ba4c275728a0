"""Bytes, files and folders: where they are, how they are published, who may write."""
