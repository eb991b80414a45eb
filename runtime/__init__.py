"""Where the system meets its machine: settings, servers, logging and the life of a process."""
