"""The bi-encoder: encoding, examples, training."""
