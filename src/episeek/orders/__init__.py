"""Orders of an epoch: which frame comes at which position, at random access, from a seed and the lengths of the episodes."""

from episeek.orders.order import (
    ClumpOrder,
    GlobalOrder,
    Order,
    SequentialOrder,
    clump_order,
    episode_order,
)

__all__ = ["ClumpOrder", "GlobalOrder", "Order", "SequentialOrder", "clump_order", "episode_order"]
