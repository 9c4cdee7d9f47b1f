"""`episeek rules`: the rules of `episeek verify`, listed or explained."""

import argparse
import json
from collections.abc import Sequence

from episeek_pipelines.cli.arguments import with_examples
from episeek_pipelines.cli.outcome import Outcome


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `rules` that other commands do not have."""
    command.description = "List the rules of `episeek verify`, or explain some of them."
    command.epilog = with_examples(
        ("list all rules", "episeek rules"),
        ("explain one rule", "episeek rules VID024"),
        ("list the rules of a family", "episeek rules VID"),
    )
    command.add_argument("codes", nargs="*", metavar="CODE", help="a rule, VID024, or a family of rules, VID")


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek rules`."""
    from episeek_pipelines.cli.lines.rules import family_lines, rule_lines, rule_page, rules_json

    families = {code: family_lines(code) for code in options.codes}
    pages = ["\n".join(lines) or rule_page(code) for code, lines in families.items()]
    if options.json:
        listed = [rule for rule in rules_json() if not options.codes or _is_chosen(rule["code"], options.codes)]
        return Outcome((json.dumps(listed, indent=2),))
    if not options.codes:
        return Outcome(tuple(rule_lines()))
    return Outcome(tuple("\n\n".join(pages).split("\n")))


def _is_chosen(code: str, wanted: Sequence[str]) -> bool:
    """Return whether one of some codes and families is, or contains, a rule."""
    from episeek_pipelines.verify.rules import RULES

    starts = [text.strip().upper() for text in wanted]
    return any(code == start if start in RULES else code.startswith(start) for start in starts)
