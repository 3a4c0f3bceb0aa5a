"""From the samples of a file to a `Sample`."""
