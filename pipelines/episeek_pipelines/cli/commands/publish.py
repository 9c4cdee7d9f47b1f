"""`episeek publish`: its arguments, the call of the API, and its output. Nothing here prints.

Exit codes: 0 done, or there was nothing to do; 1 the prepared dataset has errors, so nothing was sent, or the published files
differ from the files that were sent; 2 the command could not be done.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from episeek.errors import EpiseekError
from episeek_pipelines.cli.arguments import add_data_root, add_output, with_examples
from episeek_pipelines.cli.commands import publish_store
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.lines.publication import (
    base_words,
    change_words,
    episode_lines,
    path_lines,
    refused_outcome,
    shared_document,
    verify_line,
)
from episeek_pipelines.cli.outcome import Outcome
from episeek_schemas.lerobot import CODEBASE_VERSION

if TYPE_CHECKING:
    from episeek_pipelines.api import PublishOptions, PublishResult


NOTES = (
    "Exit codes: 0 done, or there was nothing to do; 1 DST has errors, or the published files differ from the files that were "
    "sent; 2 the command could not be done. The token of the Hub is read from the environment (HF_TOKEN, `hf auth login`). To "
    "continue a publication that was stopped, run the same command again."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `publish`."""
    add_output(command)
    add_data_root(command)
    command.description = (
        "Publish the result of `episeek prepare` onto a dataset repository of the Hub or into a store. Only files that differ are "
        "sent. Afterwards the published files are compared with the files that were sent.\n\n"
        "Onto a repository: readers see either all changes or none. The tag that LeRobot resolves is moved last.\n\n"
        "Into a store (a bucket of the Hub, S3, or any other URL that can be written to): new files are sent under temporary names "
        "and then replace the present files. A store cannot change several files at once. For some seconds, readers of episeek get "
        "the old index, the new index or an error, but never wrong frames. A copy of the dataset that is made in these seconds "
        "may contain old and new files. A dataset that is published to a new prefix is not affected."
    )
    command.epilog = with_examples(
        ("show what would change, and send nothing", "episeek publish out/pusht ORG/NAME --dry-run"),
        ("publish onto a dataset of the Hub", "episeek publish out/pusht ORG/NAME"),
        ("propose the changes as a draft pull request", "episeek publish out/pusht ORG/NAME --create-pr"),
        (
            "publish a dataset with its videos into a new prefix of a bucket",
            "episeek publish out/pusht s3://BUCKET/DIR --create",
        ),
        notes=NOTES,
    )
    command.add_argument("source", metavar="DST", help="the result of `episeek prepare`")
    command.add_argument(
        "target",
        metavar="TARGET",
        help="a dataset repository, ORG/NAME or hf://datasets/ORG/NAME; or a store, s3://..., hf://buckets/NAMESPACE/NAME[/DIR], "
        "file:///... or any other URL (text without a scheme always means ORG/NAME on the Hub)",
    )
    where = command.add_argument_group("where to")
    where.add_argument(
        "--branch",
        default="main",
        metavar="B",
        help="existing branch to commit to; a tag is moved only for the branch main (default: main)",
    )
    add_commit_arguments(where)
    where.add_argument(
        "--create",
        action="store_true",
        help="create the repository, or the dataset in a store, if it does not exist; DST has to contain its videos",
    )
    where.add_argument(
        "--private",
        action="store_true",
        help="with --create: create a private repository; an existing public repository is refused",
    )
    where.add_argument(
        "--base",
        metavar="REVISION",
        help="revision of the repository that DST was prepared from; files that others changed after it are not replaced. "
        "`--base main` replaces all present files (default: the commit that DST/.episeek records, and the commit that this machine "
        "last published)",
    )
    what = command.add_argument_group("what")
    what.add_argument(
        "--sidecars-only", action="store_true", help="publish only meta/byte_index/ and the card, and delete nothing"
    )
    what.add_argument(
        "--overwrite",
        action="store_true",
        help="in a store: also replace files that others may have changed (for a repository, use --base main)",
    )
    what.add_argument("--no-verify", action="store_true", help="do not verify DST first")
    what.add_argument("--dry-run", action="store_true", help="print what would change, and send nothing")


def add_commit_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the options about the commit, which `episeek publish` and `episeek prepare --publish` share."""
    group.add_argument("--create-pr", action="store_true", help="open a draft pull request, which others can merge")
    group.add_argument("--message", metavar="M", help="title of the commit")
    tag = group.add_mutually_exclusive_group()
    tag.add_argument(
        "--tag",
        default=None,
        metavar="TAG",
        help=f"tag to move to the new commit of main (default: {CODEBASE_VERSION})",
    )
    tag.add_argument("--no-tag", dest="tag", action="store_const", const="", help="move no tag")


def given_commit_arguments(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the names of the options about the commit (`add_commit_arguments`) that are on the command line."""
    given = {
        "--create-pr": options.create_pr,
        "--message": options.message is not None,
        "--tag": bool(options.tag),
        "--no-tag": options.tag == "",
    }
    return tuple(name for name, is_given in given.items() if is_given)


def notices(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the lines to print before the command runs, even with `--quiet`: a warning for `--no-verify`."""
    if not options.no_verify:
        return ()
    return (
        "WARNING: --no-verify: DST IS NOT VERIFIED before it is published; readers will get any errors that it contains",
    )


def silence_hub_progress(options: argparse.Namespace) -> None:
    """Turn off the progress bars of the Hub's client if `--quiet` is given or standard error is no terminal.

    Call this function before the client is imported, because the client reads the setting only then.
    """
    if options.quiet or not sys.stderr.isatty():
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek publish` onto a repository or into a store, and return what to print."""
    execution = execution_of(options)
    silence_hub_progress(options)
    from episeek_pipelines import api

    if api.is_store(options.target):
        return publish_store.publish(options, execution, given=_given(options))
    if options.overwrite:
        raise argparse.ArgumentTypeError(
            "--overwrite: found with a repository; expected a store, or --base REVISION instead"
        )
    chosen = _chosen(options)
    try:
        result = api.publish(
            options.source, options.target, data_root=options.data_root, options=chosen, execution=execution
        )
    except api.RefusedPublicationError as refusal:
        return refused_outcome(refusal, as_json=options.json)
    if options.json:
        return Outcome((json.dumps(document(result, chosen), indent=2),), False)
    verified = verify_line(result.verification, is_required=chosen.is_verified, where="repository")
    return Outcome(() if options.quiet else (verified, *lines(result, chosen)), False)


def _given(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the names of the options that the user has given and that apply only to repositories.

    The option `--no-tag` is left out, because it has no effect on a publication into a store.
    """
    given = {"--base": options.base is not None, "--branch": options.branch != "main", "--private": options.private}
    names = [name for name, is_given in given.items() if is_given]
    return (*names, *(name for name in given_commit_arguments(options) if name != "--no-tag"))


def commit_options(options: argparse.Namespace) -> "PublishOptions":
    """Return the options of the publication from the command line of `episeek prepare --publish`.

    Raises:
        argparse.ArgumentTypeError: An option has an invalid value.
    """
    return _publish_options(options)


def _chosen(options: argparse.Namespace) -> "PublishOptions":
    return _publish_options(
        options,
        branch=options.branch,
        base=options.base,
        create=options.create,
        private=options.private,
        sidecars_only=options.sidecars_only,
        is_verified=not options.no_verify,
    )


def _publish_options(options: argparse.Namespace, **others: Any) -> "PublishOptions":
    from episeek_pipelines.api import PublishOptions

    tag = CODEBASE_VERSION if options.tag is None else options.tag or None
    message = options.message or ""
    try:
        return PublishOptions(tag=tag, create_pr=options.create_pr, dry_run=options.dry_run, message=message, **others)
    except EpiseekError as error:
        name = f"--{error.where.replace('_', '-')}"
        raise argparse.ArgumentTypeError(f"{name}: found {error.found}; expected {error.expected}") from None


def lines(result: "PublishResult", options: "PublishOptions") -> Iterator[str]:
    """Yield the lines that report a publication onto a repository, without the line about the verification."""
    from episeek_pipelines.words import counted

    changes = result.changes
    yield f"base     {base_words(result)}; {_base_commit_words(result)}"
    yield f"change   {change_words(changes)}, {counted(result.commit_count, 'commit')}"
    if options.dry_run:
        yield from episode_lines(result.comparison)
        yield from path_lines(changes, result.replaced)
        yield f"done     nothing was sent (--dry-run) in {result.seconds:.1f} s"
        return
    if result.pull_request is not None:
        yield f"send     draft pull request {result.pull_request}, at commit {result.commit}"
    elif result.is_new:
        # Each commit by somebody else made another attempt necessary.
        again = f", after {counted(result.attempts - 1, 'commit')} by others" if result.attempts > 1 else ""
        yield f"send     commit {result.commit}{again}"
    else:
        yield f"send     nothing: commit {result.commit} already contains all files"
    if result.arrival is not None:
        yield f"arrival  {result.arrival.summary}"
    yield f"tag      {_tag_line(result, options)}"
    yield f"done     {result.url} in {result.seconds:.1f} s"


def _base_commit_words(result: "PublishResult") -> str:
    if result.base_commit:
        return f"the replaced files are unchanged since commit {result.base_commit}"
    return "the replaced files are the files that DST was prepared from" if result.parent else "a new repository"


def _tag_line(result: "PublishResult", options: "PublishOptions") -> str:
    if options.tag is None:
        return "none moved (--no-tag)"
    if options.create_pr:
        return f"{options.tag} not moved; after the merge, run this command again without --create-pr to move it"
    if options.branch != "main":
        return f"{options.tag} not moved, because main has not changed"
    return f"{options.tag} {'moved to' if result.tag_moved else 'is at'} {result.commit}"


def document(result: "PublishResult", options: "PublishOptions") -> dict[str, Any]:
    """Return the JSON document that reports a publication onto a repository."""
    return {
        **shared_document(result),
        "parent": result.parent,
        "base": result.base_commit,
        "commit": result.commit,
        "dry_run": options.dry_run,
        "commits": result.commit_count,
        "pull_request": result.pull_request,
        "tag": options.tag,
        "tag_moved": result.tag_moved,
    }
