"""Runs the worker on the queues named as arguments, or on all: `python worker.py lifecycle
campaigns`.
"""

import sys

from cli.main import main

if __name__ == "__main__":
    main(["worker", *(["--queues", ",".join(sys.argv[1:])] if sys.argv[1:] else [])])
