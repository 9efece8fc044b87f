"""What was found. Outside this room findings exist in memory or as age ciphertext, never otherwise."""
