"""The stores of the conformance suite."""

from tests.conformance.conftest import store, world

__all__ = ["store", "world"]
