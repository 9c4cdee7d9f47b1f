"""Training from a prepared dataset: LeRobot's items, in any order, resumable anywhere."""

from episeek.torch.sampler import EpisodeSampler

__all__ = ["EpisodeSampler"]
