"""Compare the files of a store with the content that a publication gives them.

Files are compared by size and by the identity in the store's listing. If the identity decides nothing, files of up to
`MAX_READ_BYTES` are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from episeek.errors import MissingFileError
from episeek.stores.byte_source import STORE_IN_FLIGHT
from episeek.stores.identity import FileIdentity
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.overlay.changes import (
    MAX_READ_BYTES,
    STAGED_PREFIX,
    Addition,
    Listing,
    RemoteFile,
    RemoteFiles,
)
from episeek_pipelines.publish.overlay.file_comparison import stored_sha256
from episeek_pipelines.publish.store.identity_match import matches_identity

_HASHING_THREADS = 4


@dataclass(slots=True)
class StoreContents:
    """Compares files of a store with local content. An identity that has matched is remembered, so it is not computed again."""

    root: Root
    digests: LocalDigests
    _proved: set[tuple[str, str]] = field(default_factory=set)
    _sent: set[tuple[str, str]] = field(default_factory=set)

    def note_sent(self, addition: Addition, path: str) -> None:
        """Record that this run has sent the content of an addition to a path.

        `compare` uses this record only if nothing else shows whether the file has the content. It then assumes that the content has
        arrived.
        """
        self._sent.add((path, addition.sha256))

    def additions_of(self, contents: Mapping[str, str | bytes]) -> list[Addition]:
        """Return an addition with size and SHA-256 for each local file or content, sorted by path.

        Args:
            contents: The path of a local file, or the content itself, by path in the dataset.
        """
        paths = sorted(contents)
        found = self.digests.of_all([contents[path] for path in paths])
        return [
            Addition(path, contents[path], digest.size, digest.sha256)
            for path, digest in zip(paths, found, strict=True)
        ]

    def remote_files(self, listing: Listing, wanted: Sequence[Addition]) -> RemoteFiles:
        """Return the files of a store, by path, in the form that `plan_changes` expects.

        The field `sha256` is set only for files that already have the wanted content.

        Args:
            listing: The listing of the store's root. Staged files are skipped.
            wanted: The additions with the content that the store should have.
        """
        pairs = [(addition, addition.path) for addition in wanted if addition.path in listing]
        same = self.compare(listing, pairs)
        proved = {addition.path: addition.sha256 for addition, path in pairs if same[path]}
        return {
            path: RemoteFile(
                path,
                -1 if identity is None else identity.size,
                proved.get(path),
                "",
                store_ids=() if identity is None else identity.store_ids,
            )
            for path, identity in listing.items()
            if not path.startswith(STAGED_PREFIX)
        }

    def compare(self, listing: Listing, pairs: Sequence[tuple[Addition, str]]) -> dict[str, bool | None]:
        """Compare files of a store with additions, and return by path whether the file has the content of the addition.

        The value is False for a file that does not exist. It is None if the comparison decides nothing: no identity proves that the
        contents are the same or differ, and the file is too large to be read, or the listing does not contain its size.

        Args:
            listing: The listing of the store's root.
            pairs: Each addition with the path of the store's file to compare it with.
        """
        decided: dict[str, bool | None] = {}
        alike: list[tuple[Addition, str]] = []
        for addition, path in pairs:
            identity = listing.get(path)
            if path not in listing or (identity is not None and identity.size != addition.size):
                decided[path] = False
            else:
                alike.append((addition, path))
        by_id = map_in_threads(
            lambda pair: self._by_id(listing[pair[1]], pair[0]), alike, max_in_flight=_HASHING_THREADS
        )
        # If one identity matches, this store's identities are digests of the content. Then an identity that differs proves that the
        # content differs.
        has_digests = any(by_id)
        unknown = []
        for pair, is_same in zip(alike, by_id, strict=True):
            identity = listing[pair[1]]
            if is_same is None and identity is not None and identity.store_ids and has_digests:
                is_same = False
            decided[pair[1]] = is_same
            if is_same is None and identity is not None and (self.root.is_local or identity.size <= MAX_READ_BYTES):
                unknown.append(pair)
        read = map_in_threads(lambda pair: self._by_reading(*pair), unknown, max_in_flight=STORE_IN_FLIGHT)
        decided.update({path: is_same for (_, path), is_same in zip(unknown, read, strict=True)})
        for addition, path in alike:
            if decided[path] is None and (path, addition.sha256) in self._sent:
                decided[path] = True
        return decided

    def _by_id(self, identity: FileIdentity | None, addition: Addition) -> bool | None:
        for store_id in () if identity is None else identity.store_ids:
            if (store_id, addition.sha256) in self._proved:
                return True
            is_same = matches_identity(addition.source, size=addition.size, sha256=addition.sha256, store_id=store_id)
            if is_same:
                self._proved.add((store_id, addition.sha256))
            if is_same is not None:
                return is_same
        return None

    def _by_reading(self, addition: Addition, path: str) -> bool:
        if self.root.is_local:
            return self.digests.of_all([str(Path(self.root.join(path)))])[0].sha256 == addition.sha256
        try:
            return stored_sha256(self.root.source(), path, addition.size) == addition.sha256
        except MissingFileError:
            # The file was removed after the listing.
            return False
