"""Feature maps → logits: `base` has the contract, `table` all heads, one file each family."""
