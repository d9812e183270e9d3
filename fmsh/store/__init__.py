"""Where jobs live: one protocol with its guarantees in words (`base`), and the stores that keep them.

`sqlite` is the store of every shell and daemon, `memory` a fake for tests that is held to the same suite
(`tests/conformance`), `vault` keeps secrets in either. All SQL of fmsh is in this package, and `schema.sql` tells the
life of a job as tables.

    base ◀── sqlite ──▶ jobs history leases inbox deletion transfer   SQL, as functions over a cursor
                │                     └──▶ chain                      the hashes by which damage is found
                ├─────▶ database ──▶ gate log migrations files        one connection, one way to write
                └─────▶ presence watch                                who lives, who has stalled, how to wake them

Why functions over a cursor and a thin class: a store of one class with a hundred methods hides which of them share a
transaction. Here a transaction is one call of `Database.write`, and everything in it is passed along.
"""
