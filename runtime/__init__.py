"""The process and its environment: settings, servers, logging, start and shutdown."""
