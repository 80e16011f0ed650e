"""`python -m xstilts` is the command line."""

from xstilts.cli import main

main()
