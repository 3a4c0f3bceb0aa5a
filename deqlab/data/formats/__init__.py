"""One reader for each layout of a file."""
