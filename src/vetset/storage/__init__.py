"""Places: how bytes come to lie on a disk whole, or not at all."""
