"""Worked mathematics for the notebooks: what the papers prove."""
