"""Raw files to documents, labels, gold and rejects; the tables every room shares."""
