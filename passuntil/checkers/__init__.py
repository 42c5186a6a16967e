"""Checkers: exact answers, code tests, and the pool that calls them."""
