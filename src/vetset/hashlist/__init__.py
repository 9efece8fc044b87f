"""Lists of known items: reading the formats they come in, and keeping them encrypted at rest."""
