"""A small benign dataset with planted copies, so that the whole way can be gone where nothing is at stake."""
