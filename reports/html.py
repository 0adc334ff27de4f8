"""Results as one HTML file: complete in itself, readable without script, and deaf to what a peer wrote in it."""

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import shapes, text
from reports.comparison import Comparison, Direction
from reports.outcome import Outcome, broken_rules, conforms, headline, outcome, plural, status
from reports.page import WORDS, build
from reports.results import Results
from reports.timeline import Timeline

_DIRECTION_TONES = {
    Direction.BROKEN: "fail",
    Direction.ERROR: "error",
    Direction.WARNS: "warn",
    Direction.UNJUDGED: "inconclusive",
    Direction.STILL: "fail",
    Direction.STILL_WARNS: "warn",
    Direction.MENDED: "pass",
    Direction.JUDGED: "pass",
}
_TEXT = 4_000
_EXCERPT = 2_000


def render_html(results: Results, timelines: Mapping[str, Timeline]) -> str:
    """A page that loads nothing and may load nothing: its Content-Security-Policy allows its own style and
    its own script by their hashes and forbids all else.

    `timelines` are keyed by scenario; a scenario without one is shown without a picture. Every text goes
    through one gate (`_shown`): cut if very long, made visible, escaped. The answer holds no lone surrogate,
    so it can be written in UTF-8.
    """
    environment = _environment()
    style, script = (_source(environment, name) for name in ("report.css", "report.js"))
    return environment.get_template("report.html").render(
        policy=_policy(style, script),
        style=Markup(style),  # ours, not a peer's
        script=Markup(script),
        results=results,
        page=build(results, timelines),
        headline=headline(results),
        outcome=outcome(results),
        conforms=conforms(results),
        broken=broken_rules(results),
    )


def render_comparison(comparison: Comparison) -> str:
    """Runs side by side as a page of the same kind, which needs no script."""
    environment = _environment()
    style = _source(environment, "report.css")
    areas = [(area, [row for row in rows if row.differs]) for area, rows in comparison.areas]
    alike = [(area, [row for row in rows if not row.differs]) for area, rows in comparison.areas]
    return environment.get_template("comparison.html").render(
        policy=_policy(style),
        style=Markup(style),
        comparison=comparison,
        differ=[each for each in areas if each[1]],
        agree=[each for each in alike if each[1]],
    )


def _policy(style: str, script: str | None = None) -> str:
    """A Content-Security-Policy (CSP level 3) under which nothing but these two runs or loads."""
    scripts = "'none'" if script is None else _hash(script)
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {scripts}; "
        "img-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def _source(environment: Environment, name: str) -> str:
    loader = environment.loader
    assert loader is not None
    return loader.get_source(environment, name)[0]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "excerpt": _excerpt,
        "seconds": text.seconds,
        "instant": text.instant,
        "plural": plural,
        "web_link": text.web_link,
        "file_link": text.file_link,
        "wall_clock": text.wall_clock,
        "status": status,
        "conforms": conforms,
        "headline": headline,
        "zip": zip,
    }
    environment.globals |= {
        "WORDS": WORDS,
        "TONES": shapes.WORDS,
        "WIDTH": shapes.WIDTH,
        "Outcome": Outcome,
        "DIRECTION_TONES": _DIRECTION_TONES,
        "OPEN": tuple(Direction)[:4],  # what one came to read
    }
    return environment


def _shown(value: Any) -> Any:
    """The gate through which every expression of a template goes, before it is escaped."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.visible(text.shorten(value, _TEXT))
    return value


def _excerpt(value: str) -> Markup:
    """Evidence as the lines it had, with its line ends and control characters to be seen, but set back."""
    parts = re.split("((?:‹[A-Z0-9+]{2,8}›)+)", text.visible_lines(text.shorten(value, _EXCERPT)))
    return Markup("").join(
        Markup("<i>{}</i>").format(part) if n % 2 else part for n, part in enumerate(parts)
    )
