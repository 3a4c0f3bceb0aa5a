"""Methods that ask for few numbers."""
