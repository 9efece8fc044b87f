"""Bytes in and out: one dataset format a file, reader and writer side by side.

`formats` is the way in: it detects a format, lists shards and hands out the reader and writer of each.
"""
