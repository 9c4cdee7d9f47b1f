"""`episeek rules`: list the rules of `episeek verify`, or explain some of them."""

import argparse
import json

from episeek_pipelines.cli.arguments import add_output, with_examples
from episeek_pipelines.cli.outcome import Outcome


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `rules`."""
    add_output(command)
    command.description = "List the rules of `episeek verify`, or explain some of them, or repairs of `episeek repair`."
    command.epilog = with_examples(
        ("list all rules", "episeek rules"),
        ("explain one rule", "episeek rules VID024"),
        ("list the rules of a family", "episeek rules VID"),
        ("explain a repair of `episeek repair`, or list all of them", "episeek rules REP008; episeek rules REP"),
    )
    command.add_argument(
        "codes",
        nargs="*",
        metavar="CODE",
        help="a rule or repair, such as VID024 or REP008, or a family, such as VID or REP",
    )


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek rules`, and return what to print."""
    from episeek_pipelines.cli.lines.repair_rules import is_repair, repair_pages, repairs_json
    from episeek_pipelines.cli.lines.rules import family_lines, rule_lines, rule_page, rules_json

    if options.json:
        codes = [code for code in options.codes if not is_repair(code)]
        rules = rules_json(codes) if codes or not options.codes else []
        return Outcome((json.dumps([*rules, *repairs_json(options.codes)], indent=2),))
    if not options.codes:
        return Outcome(tuple(rule_lines()))
    pages = [
        repair_pages(code) if is_repair(code) else "\n".join(family_lines(code)) or rule_page(code)
        for code in options.codes
    ]
    return Outcome(tuple("\n\n".join(pages).split("\n")))
