"""One file per question that `real_scans.py` asks of models, and what these files share."""
