"""Lists at rest: encrypted files, the key beside them, and what they are as bytes."""
