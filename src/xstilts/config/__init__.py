"""What a study file and a task file may contain: schemas, defaults, built-in studies, and messages about mistakes."""
