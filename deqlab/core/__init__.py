"""Errors, options, registries, files, devices: what everything else stands on."""
