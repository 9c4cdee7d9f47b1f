"""Train from a prepared dataset: the items of LeRobot, in several orders, with a sampler that resumes after any batch."""

from episeek.torch.collate import collate
from episeek.torch.dataset import EpisodeDataset
from episeek.torch.sampler import EpisodeSampler
from episeek.torch.stream import EpisodeStream

__all__ = ["EpisodeDataset", "EpisodeSampler", "EpisodeStream", "collate"]
