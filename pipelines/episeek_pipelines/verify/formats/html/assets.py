"""The parts that report pages share: templates, style sheets, and a policy that keeps text of a dataset from running as code."""

import base64
import hashlib
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from episeek_pipelines.verify.formats.html.finding_charts import drawn
from episeek_pipelines.verify.formats.html.text import breakable, jpeg_url, number, prose, shown


@cache
def page_environment(package: str) -> Environment:
    """Return a Jinja environment with the templates of a package, which escapes every value."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, breakable=breakable, prose=prose, data_url=jpeg_url, drawn=drawn)
    return environment


def asset(package: str, name: str) -> str:
    """Return the text of a file of a package, such as a style sheet. Lines end with a line feed."""
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    # Browsers convert line ends to line feeds, and the digest has to be that of the converted text.
    return text.replace("\r\n", "\n")


def policy_of(style: str, script: str = "") -> str:
    """Return a Content Security Policy that allows only embedded images and, by their digests, the given style sheet and script."""
    scripts = f"script-src {_digest(script)}; " if script else ""
    return (
        f"default-src 'none'; style-src {_digest(style)}; {scripts}img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
