"""The grammar of a catalogue's tables, for whatever reads them: cells, records of CSV files, and what is wrong in them.

Cleaning tables for training and importing them into the site share it, so the two never disagree on what a file says.
"""
