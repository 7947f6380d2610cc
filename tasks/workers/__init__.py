"""Warm child processes that do fold runs, and the parent's side that leases and watches them."""
