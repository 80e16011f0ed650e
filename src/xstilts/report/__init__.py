"""The results of a run as a page, charts, tables, text for the terminal, and material for a paper."""
