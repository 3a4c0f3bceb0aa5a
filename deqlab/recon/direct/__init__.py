"""Networks from the zero-filled image to the image."""
