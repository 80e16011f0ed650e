"""Training data by machine translation, with labels projected."""
