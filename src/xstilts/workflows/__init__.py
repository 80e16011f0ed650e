"""The Python API and what commands do: train, predict, evaluate, compare, export, push."""
