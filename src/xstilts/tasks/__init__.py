"""The task types and the catalogue of tasks."""
