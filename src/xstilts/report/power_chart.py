"""The power curve of a study as a picture."""

from html import escape
from pathlib import Path
from typing import Any

from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError


def write_curve(result: dict[str, Any], file: Path) -> None:
    """Writes power against replicates, a line for each difference, as FILE.svg or on a page FILE.html.

    Raises XstiltsError for another ending.
    """
    if file.suffix not in (".svg", ".html"):
        raise XstiltsError(
            "bad-argument", f"{file} is no picture", "a curve is written as SVG or HTML", "end it in .svg or .html"
        )
    from xstilts.report import charts  # slow to import

    drawn = charts.svg(charts.power_chart(result))
    if file.suffix == ".svg":
        write_atomically(file, drawn.replace("<svg ", '<svg style="background:#ffffff;color:#1d1d1f" ', 1))
        return
    origin = "assumed, not measured" if result["from"] == "assumed" else f"from {result['from']}"
    told = ", ".join(f"{name.replace('_', ' × ')} {value:g}" for name, value in result["components"].items())
    write_atomically(
        file,
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>Power</title><style>"
        ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;"
        f"padding:0 1rem}}svg{{max-width:100%;height:auto}}</style></head>\n<body>{drawn}\n"
        f"<p>Variance components in points² ({escape(origin)}): {escape(told)}.</p></body></html>\n",
    )
