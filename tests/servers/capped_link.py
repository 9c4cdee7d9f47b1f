"""One network link that all connections of a server share."""

import asyncio

_MIN_SLICE_BYTES = 16 << 10
_MAX_SLICE_BYTES = 64 << 10
_SLICE_SECONDS = 0.002
_CATCH_UP_SECONDS = 0.010  # timers wake late; what the link could have sent meanwhile is not lost


class CappedLink:
    """A virtual clock of when the link is free.

    Senders take turns by the slice, so a small response waits for at most one slice of every other connection.
    """

    def __init__(self, bits_per_second: float) -> None:
        self._bytes_per_second = bits_per_second / 8
        self._free_at_seconds = 0.0
        per_turn = int(self._bytes_per_second * _SLICE_SECONDS)
        self.slice_bytes = min(max(per_turn, _MIN_SLICE_BYTES), _MAX_SLICE_BYTES)

    async def carry(self, count_bytes: int) -> None:
        """Return when `count_bytes` have gone through."""
        now = asyncio.get_running_loop().time()
        start = max(self._free_at_seconds, now - _CATCH_UP_SECONDS)
        self._free_at_seconds = start + count_bytes / self._bytes_per_second
        if self._free_at_seconds > now:
            await asyncio.sleep(self._free_at_seconds - now)
