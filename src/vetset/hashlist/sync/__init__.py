"""Bringing a list up to what an owner's service says: ranges, pages that wait, requests to one host."""
