"""The parts of the formatter: `leaves` reads tokens with what stands between them, `shapes` nests them into statements,
stages and brackets, and `writing` puts these on lines. `fmsh.lang.formatter` says what the layout is.
"""
