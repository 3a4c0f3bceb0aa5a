"""The shell, the notebook runner, one road from a file to an image."""
