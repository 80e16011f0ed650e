"""Fills in the templates of pages, which load nothing from elsewhere and run no script but their own."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xstilts.report import sentences
from xstilts.report.console import interval, number, signed, visible

TEMPLATES = Path(__file__).parent / "template"


def render(template: str, **values: Any) -> str:
    """A page as HTML text, with its style, its script, and a policy by which a browser runs no other one.

    All text is escaped, and its control characters are shown as escapes.
    """
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    templates.trim_blocks = templates.lstrip_blocks = True
    templates.finalize = lambda text: text if isinstance(text, Markup) else visible(text, "\n")
    templates.globals |= {"sentences": sentences, "number": number, "signed": signed, "interval": interval}
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    values |= {"policy": policy, "style": Markup(style), "script": Markup(script)}
    return templates.get_template(template).render(**values)
