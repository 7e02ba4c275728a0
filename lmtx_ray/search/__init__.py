"""Candidates: lexical and dense search, exact and in 8 bits; merging and fusion."""
