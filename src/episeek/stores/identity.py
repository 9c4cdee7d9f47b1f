"""What tells one version of a stored file from another: its size and the identities its store gives it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """A file as its store describes it."""

    size: int
    """Bytes."""
    store_ids: tuple[str, ...] = ()
    """Content identities, `kind:value`, the strongest first: `sha256:` (LFS), `xet:`, `etag:`; empty where the store has
    none.
    """
    version: str = ""
    """Of a local file: what changes when it is written or replaced (modification time and inode)."""

    @property
    def store_id(self) -> str:
        """The strongest identity, as `files.store_id` keeps it; empty without one."""
        return self.store_ids[0] if self.store_ids else ""

    def is_content(self, store_id: str) -> bool | None:
        """Whether this file has the content identity `store_id`; None where the store gives none of that kind."""
        kind, _, _ = store_id.partition(":")
        same_kind = [given for given in self.store_ids if given.partition(":")[0] == kind]
        return store_id in same_kind if store_id and same_kind else None


def etag_id(etag: str | None) -> tuple[str, ...]:
    """The identity in an ETag header (RFC 9110, 8.8.3), as `FileIdentity.store_ids` holds it."""
    value = (etag or "").strip().removeprefix("W/").strip('"')
    return (f"etag:{value}",) if value else ()
