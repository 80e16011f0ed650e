"""What a run shows, for people: a page, charts, tables, the terminal."""
