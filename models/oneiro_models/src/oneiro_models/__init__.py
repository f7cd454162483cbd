"""Trains recommenders and writes oneiro bundles."""

__version__ = "0.1.0"


class Problem(Exception):
    """Something the user can put right; its text is shown without a traceback."""
