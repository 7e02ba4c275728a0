"""LMTX on Ray: tag documents with labels from a large closed label set, without annotations."""

__version__ = "0.1.0"
