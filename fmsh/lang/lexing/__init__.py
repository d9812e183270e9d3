"""The modes of the lexer, one module for each kind of place in a program; `fmsh.lang.lexer` runs them.

Why not methods of one class: each mode is a few functions over the lexer's state, found through a table.
"""
