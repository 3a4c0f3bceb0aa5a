"""Whether the samples of a scan, its header, its mask and its trajectory tell one story."""
