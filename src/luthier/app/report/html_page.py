"""The report as one HTML page: no script, no request to anywhere, light and dark, narrow and wide."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from luthier.app.report.parts import Code, Items, Part, Picture, Report, Table, Text

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #5a5a5a; --line: #d9d9d9; --paper: #ffffff;
  --code: #f4f4f2; --link: #1f4e79; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --soft: #b0b0b0; --line: #444;
  --paper: #17181a; --code: #232529; --link: #9cc4ec; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--paper); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; border-bottom: 1px solid var(--line); }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; padding: 0; margin: .6rem 0; }
a { color: var(--link); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin: .6rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
td { max-width: 32rem; overflow-wrap: break-word; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .9rem; }
pre { background: var(--code); padding: .8rem; overflow-x: auto; border-radius: 4px; font-size: .85rem; }
"""


def page(report: Report, pictures: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        report: what it says; every text in it is shown as text, whatever it holds.
        pictures: the address of each picture by its name; one that is missing is left out.
    """
    headings = [section.heading for section in report.sections]
    links = "".join(f'<li><a href="#s{i}">{escape(h)}</a></li>' for i, h in enumerate(headings))
    body = "".join(
        f'<section aria-labelledby="s{i}"><h2 id="s{i}">{escape(section.heading)}</h2>'
        + "".join(_part(part, pictures) for part in section.parts)
        + "</section>"
        for i, section in enumerate(report.sections)
    )
    title = escape(report.title)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>{body}</main></body></html>\n'
    )


def _part(part: Part, pictures: Mapping[str, str]) -> str:
    match part:
        case Text(words):
            return f"<p>{escape(words)}</p>"
        case Items(lines):
            return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
        case Code(text):
            return f"<pre><code>{escape(text)}</code></pre>"
        case Table(headings, rows):
            top = "".join(f'<th scope="col">{escape(h)}</th>' for h in headings)
            cells = "".join(
                "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
                for row in rows
            )
            return (
                f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead>'
                f"<tbody>{cells}</tbody></table></div>"
            )
        case Picture(name, words):
            if name not in pictures:
                return ""
            return (
                f'<figure><img src="{pictures[name]}" alt="{escape(words)}">'
                f"<figcaption>{escape(words)}</figcaption></figure>"
            )
