"""The measurements of one rank of a benchmark."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class BatchCost:
    """The time and the transfers of one process for a batch, including its collation."""

    busy_seconds: float = 0.0
    fetch_seconds: float = 0.0
    decode_seconds: float = 0.0
    decoded_frames: int = 0
    requests: int = 0
    """Number of requests to the store, or of reads of local files, including retries."""
    bytes: int = 0

    def __add__(self, other: "BatchCost") -> "BatchCost":
        return BatchCost(
            self.busy_seconds + other.busy_seconds,
            self.fetch_seconds + other.fetch_seconds,
            self.decode_seconds + other.decode_seconds,
            self.decoded_frames + other.decoded_frames,
            self.requests + other.requests,
            self.bytes + other.bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RankMeasurement:
    """The measurement of one rank. Each rank sends its measurement to rank 0 as JSON."""

    rank: int
    host: str
    episodes: int
    frames: int
    cameras: int
    open_seconds: float
    first_batch_seconds: float
    batch_seconds: tuple[float, ...]
    """Seconds that the training loop waited for each measured batch."""
    samples: int
    cost: BatchCost
    """The cost of all measured batches together."""
    cpu_seconds: float | None
    """CPU seconds of the process and its workers during the measurement; None on a system without /proc."""
    distinct_episodes: float
    order_correlation: float | None
    peak_rss_bytes: int | None

    @property
    def seconds(self) -> float:
        """Seconds that all measured batches took together."""
        return sum(self.batch_seconds)

    def to_json(self) -> str:
        """Return the measurement as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the measurement from the JSON text of `to_json`."""
        values = json.loads(text)
        values["batch_seconds"] = tuple(values["batch_seconds"])
        return cls(**{**values, "cost": BatchCost(**values["cost"])})
