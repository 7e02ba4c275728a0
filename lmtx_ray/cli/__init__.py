"""The command line, and the entry points of jobs."""
