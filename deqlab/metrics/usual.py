"""Which metrics are shown where nobody asks for others."""

USUAL = ("psnr", "ssim", "nmse")
