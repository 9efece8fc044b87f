"""Trust, bytes in and bytes out: envelope, padding, signature, statement, hash chain. Only `keys` touches files."""
