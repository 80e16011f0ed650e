"""Examples from any source: the hub, local files, the artificial world, translations."""
