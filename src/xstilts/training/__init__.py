"""The training loop and the steps that train."""
