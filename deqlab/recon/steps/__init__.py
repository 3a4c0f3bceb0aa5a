"""What several methods do in each step."""
