"""Brings the Compose file up with simulated providers, and tries it: `make compose-trial`."""
