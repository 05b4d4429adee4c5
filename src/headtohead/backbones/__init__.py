"""Images → feature maps."""
