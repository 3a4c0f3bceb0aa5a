"""Training data as varied as scans are, drawn while a network is trained."""
