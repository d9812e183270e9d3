"""The shell: a foreground job at a terminal or in a pipe, and the prompt."""
