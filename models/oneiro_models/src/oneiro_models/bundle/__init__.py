"""The bundle, format 1 (models/README.md): a folder of parts and their manifest."""

from .catalog import Catalog, title_key, year_of
from .reader import Bundle
from .writer import BundleWriter

__all__ = ["Bundle", "BundleWriter", "Catalog", "title_key", "year_of"]
