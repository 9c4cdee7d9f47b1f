"""Training from a prepared dataset: LeRobot's items, in any order, resumable anywhere."""

from episeek.torch.collate import collate
from episeek.torch.dataset import EpisodeDataset
from episeek.torch.sampler import EpisodeSampler
from episeek.torch.stream import EpisodeStream

__all__ = ["EpisodeDataset", "EpisodeSampler", "EpisodeStream", "collate"]
