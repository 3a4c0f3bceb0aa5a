"""Methods whose image is the equilibrium of a learned map."""
