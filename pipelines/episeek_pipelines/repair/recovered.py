"""Report the Parquet files that have no footer and get a new footer. Their row groups were found from page headers."""

from collections.abc import Iterator

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.values import Outcome, Place, Repair
from episeek_pipelines.words import counted


def repair_footers(draft: Draft) -> Iterator[Outcome]:
    """Yield a repair for each file that gets a footer. The repair states which rows were found and what is lost."""
    evidence = draft.evidence
    files = {path: file.recovered for path, file in evidence.data.items() if file.recovered is not None}
    for path, found in {**evidence.episodes.recovered, **files}.items():
        episodes = found.episodes
        held = f"episodes {episodes[0]} to {episodes[-1]}" if len(episodes) > 1 else f"episode {episodes[0]}"
        lost = "; ".join(str(loss) for loss in found.losses) or "nothing"
        rows = f"{counted(found.row_count, 'row')} in {counted(len(found.groups), 'row group')}"
        proof = f"all pages of these row groups can be read, and the numbers in their rows are consecutive; not recovered: {lost}"
        yield Repair(registry.RECOVERED.code, Place(path), "no footer", f"a footer for {rows} ({held})", proof)
