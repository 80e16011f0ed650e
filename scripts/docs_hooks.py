"""Hooks of `mkdocs build`: links out of docs/ become text, and pages that load from other hosts are refused."""

import re
from typing import Any

from mkdocs.exceptions import PluginError

OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+(?:src|benchmarks|scripts|tests|README|CONTRIBUTING|CHANGELOG)[^)]*)\)")
LOADED = re.compile(r"<(?:script|img|iframe|link(?![^>]*canonical))\b[^>]*(?:src|href)=\"?(?:https?:)?//[^\s\">]+")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to source files work in the repository; the site has no copy of them, so that their text alone is left."""
    return OUTSIDE.sub(lambda link: link.group(1), markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that a browser would complete from another host; plain links are no matter."""
    if loaded := LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads from another host: {loaded.group()}")
    return output
