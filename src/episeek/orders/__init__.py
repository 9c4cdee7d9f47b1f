"""Orders of an epoch. An order gives the frame at any position of an epoch, from a seed and the lengths of the episodes."""

from episeek.orders.order import (
    ClumpOrder,
    GlobalOrder,
    Order,
    SequentialOrder,
    clump_order,
    episode_order,
)

__all__ = ["ClumpOrder", "GlobalOrder", "Order", "SequentialOrder", "clump_order", "episode_order"]
