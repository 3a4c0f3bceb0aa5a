"""fastMRI files, simulated or measured, as slices under study: one reader, one writer, one sample
type.
"""

from deqlab.data.dataset import FastMRIDataset, open_volume
from deqlab.data.formats.fastmri import Volume
from deqlab.data.formats.write_fastmri import write_volume
from deqlab.data.sample import Sample, collate, groups_by_shape

__all__ = [
    "FastMRIDataset",
    "Sample",
    "Volume",
    "collate",
    "groups_by_shape",
    "open_volume",
    "write_volume",
]
