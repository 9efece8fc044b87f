"""One file for each parser of ours, each with `target(data)`: it raises only where a promise is broken.

A promise is: vetset's own documented errors and no others, and an answer that another reader of the same bytes agrees
with. Hangs and memory are watched by whoever runs a target (`fuzz_worker.py`, `soak.py`).
"""
