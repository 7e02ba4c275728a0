"""Label sets as other programs keep them, made into one clean table, and what is odd in one."""
