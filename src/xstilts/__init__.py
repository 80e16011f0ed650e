"""Cross-lingual intermediate-task transfer: which intermediate tasks and languages help, and how sure is that."""

from importlib.metadata import version

__version__ = version("xstilts")
