"""fastMRI files, simulated or measured, as slices under study: one reader, one writer, one sample type."""

from deqlab.data.fastmri import FastMRIDataset, open_volume
from deqlab.data.sample import Sample, collate, groups_by_shape
from deqlab.data.volume import Volume
from deqlab.data.write import write_volume

__all__ = ["FastMRIDataset", "Sample", "Volume", "collate", "groups_by_shape", "open_volume", "write_volume"]
