"""A key pair for targets that need one; it protects nothing."""

from vetset.seal.keys import PrivateKey

PRIVATE = PrivateKey("x", "AGE-SECRET-KEY-1L6K7PKEK2DNNPX7A527G30ZKNXTF4K9TVP56WTSYC0QHJ4FH5FXS0ZA7C9", "11" * 32)
PUBLIC = PRIVATE.public
