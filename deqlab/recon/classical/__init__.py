"""Methods without learning and without a penalty of images."""
