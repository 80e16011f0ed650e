"""`xstilts` with a checkpoint every fifth of a second, not every minute: what kills.py kills.

    python benchmarks/checkpoint_often.py study pocket --quick

Its workers, which train, import this file, too.
"""

from xstilts.cli import main

if __name__ == "__main__":
    main()
else:
    from xstilts.training import loop

    *_defaults, _ = loop.train.__defaults__
    loop.train.__defaults__ = (*_defaults, 0.2)
