"""Trains recommenders and writes oneiro bundles."""

import os

__version__ = "0.1.0"

# ONNX Runtime starts its telemetry when it is imported, unless this is set before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class Problem(Exception):
    """Something the user can put right; its text is shown without a traceback."""
