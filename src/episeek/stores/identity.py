"""The identity of a stored file: its size, and values that distinguish its versions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """The size and identities of one version of a file."""

    size: int
    """Size in bytes."""
    store_ids: tuple[str, ...] = ()
    """Identities of the content as `kind:value`, the strongest first. The kinds are sha256 (Git LFS), xet and etag.

    The tuple is empty if the store gives no identity.
    """
    version: str = ""
    """Modification time and inode of a local file, which change when the file is written or replaced; empty in stores."""

    @property
    def store_id(self) -> str:
        """The strongest identity, which the byte index stores as `store_id` of a file; empty if the store gives no identity."""
        return self.store_ids[0] if self.store_ids else ""

    def is_content(self, store_id: str) -> bool | None:
        """Return whether the file has the identity `store_id`, or None if its store gives no identity of that kind."""
        kind, _, _ = store_id.partition(":")
        same_kind = [given for given in self.store_ids if given.partition(":")[0] == kind]
        return store_id in same_kind if store_id and same_kind else None


def etag_id(etag: str | None) -> tuple[str, ...]:
    """Return the identity in an ETag header (RFC 9110, 8.8.3) as `FileIdentity.store_ids`; empty without a header."""
    value = (etag or "").strip().removeprefix("W/").strip('"')
    return (f"etag:{value}",) if value else ()
