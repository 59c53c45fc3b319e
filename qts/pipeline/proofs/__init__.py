"""Proofs on a user's own store and run: a module for each claim, all of one shape."""
