"""Feature maps → logits."""
