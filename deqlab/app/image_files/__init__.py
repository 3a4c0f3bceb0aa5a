"""The formats that reconstructions are written in: one file a format, one line in `registry.py`."""
