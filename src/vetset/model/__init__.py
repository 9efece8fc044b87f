"""What flows: frozen types without I/O. Imports nothing of vetset but itself."""
