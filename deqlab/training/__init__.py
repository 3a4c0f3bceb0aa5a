"""Learning: configurations, objectives, the loop, checkpoints."""
