"""Fingerprints of one file: decode, digests, PDQ and embeddings. One fingerprint a file of code."""
