"""NCMEC's Hash Sharing, version 2: its answers read as opinions (`entries`), the service itself, and feedback to it."""
