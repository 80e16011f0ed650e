"""Artificial languages: a small world with one meaning and many grammars, in which zero-shot transfer is real.

Each language has a grammar taken from the syntax features of the real language of its name, and words inherited along
a family tree. Text for pretraining is not parallel; item i of a task means the same in all languages.
"""
