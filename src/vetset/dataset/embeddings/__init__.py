"""Embeddings that somebody brings, however they lie: vectors as blocks for the search, keys to join them by.

`layouts` finds out which layout a place has; every layout is a file of its own, and so is every container of arrays
(`npy`, `safetensors`, `npz`). A part hands out its keys in one pass and its vectors as a `VectorBlock`, and writes the
rows that are kept when the dataset is cleaned. Nothing is mapped, nothing is unpickled, nothing is believed that a
header claims before it was held against the file.
"""
