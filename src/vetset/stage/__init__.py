"""The way through: scan, match, expand, verify, clean, attest. One file each, read from top to bottom."""
