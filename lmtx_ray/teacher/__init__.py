"""The judge: a protocol, prompts, parsing, and one file for each engine that can answer."""
