"""Describe data files without a footer (ROW005), and the complete episodes that can be recovered from them."""

from episeek.errors import DatasetError, EpiseekError
from episeek_pipelines.parquet.recovery.declared_schema import declared_schema
from episeek_pipelines.parquet.recovery.recover import Recovered, lacks_footer, recover
from episeek_pipelines.parquet.store_file import StoreFile
from episeek_pipelines.verify.findings.checks import VerificationContext

_BLOCK_BYTES = 1 << 20


def describe_lost_footer(context: VerificationContext, path: str) -> str:
    """Return a noun phrase for a data file that begins like Parquet and has no footer; empty for any other file.

    If the verification reads rows, the whole file is read, and the phrase also says which complete episodes the file contains.
    """
    try:
        file = StoreFile(context.root.source(), path, context.root.size(path))
        if not lacks_footer(file):
            return ""
        if not context.options.looks_at("rows"):
            return "no footer at its end"
        file.expect([(0, file.size)], block_bytes=_BLOCK_BYTES, is_joined=False)
        return f"no footer at its end, {_held(recover(file, declared_schema(context.features), where=path))}"
    except DatasetError as error:
        return f"no footer at its end, and {error.found}"
    except EpiseekError:
        # The store failed. The caller reports the error that opening the file raised.
        return ""


def _held(recovered: Recovered) -> str:
    episodes = recovered.episodes
    if not episodes:
        return "and no complete episode in the file"
    lost = recovered.file_bytes - recovered.stop
    after = (
        f"; no complete episode in the last {lost:,} bytes" if any(loss.holds_rows for loss in recovered.losses) else ""
    )
    if len(episodes) == 1:
        return f"after the complete episode {episodes[0]}{after}"
    return f"after {len(episodes)} complete episodes, {min(episodes)} to {max(episodes)}{after}"
