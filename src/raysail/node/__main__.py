"""`python -m raysail.node`."""

from raysail.node.process import main

main()
