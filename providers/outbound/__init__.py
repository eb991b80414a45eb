"""Requests to addresses that others name: which ones may be called, and how."""
