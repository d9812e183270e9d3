"""The daemon: runs what is detached, what waits, and what lost its shell; and it is where the world calls."""
