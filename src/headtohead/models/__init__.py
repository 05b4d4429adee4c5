"""The old place of what heads of a user's own import. New code: `headtohead.backbones.layers`."""
