"""The files of a run folder: what is written, read and verified."""
