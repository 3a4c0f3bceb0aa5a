"""Many runs of one command: their grid, their folders, who runs them, and what they came to."""
