"""Train from a prepared dataset, with the items of LeRobot and a sampler that offers several orders and resumes after any batch."""

from episeek.torch.collate import collate
from episeek.torch.dataset import EpisodeDataset
from episeek.torch.sampler import EpisodeSampler
from episeek.torch.stream import EpisodeStream

__all__ = ["EpisodeDataset", "EpisodeSampler", "EpisodeStream", "collate"]
