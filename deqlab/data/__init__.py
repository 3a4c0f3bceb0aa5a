"""k-space files of any known format, simulated or measured, as slices under study: one Dataset, one
sample type.
"""

from deqlab.data.dataset import SliceDataset, find_files
from deqlab.data.examine.examined import open_volume
from deqlab.data.formats.protocol import Volume
from deqlab.data.formats.write_fastmri import write_volume
from deqlab.data.formats.write_trajectory import write_noncartesian
from deqlab.data.sample import Batch, Sample, collate, groups_by_shape

__all__ = [
    "Batch",
    "Sample",
    "SliceDataset",
    "Volume",
    "collate",
    "find_files",
    "groups_by_shape",
    "open_volume",
    "write_noncartesian",
    "write_volume",
]
