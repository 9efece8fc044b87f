"""What was scanned: the signals of every record, and how embeddings join them. Never an address, never a match."""
