"""The same work through PgBouncer in transaction mode."""
