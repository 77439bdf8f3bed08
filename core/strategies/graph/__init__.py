"""Node graphs: strategies as nodes and edges in JSON.

`document.py` reads one, `build.py` checks it and makes steps of it, `program.py` runs these over the windows of a slot;
`nodes/` holds what each type of node takes, gives and does.
"""
