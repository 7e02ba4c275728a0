"""Ray adaptors: the only files that import ray.data or ray.train."""
