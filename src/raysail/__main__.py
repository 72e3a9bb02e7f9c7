"""`python -m raysail` is the command line."""

from raysail.cli.main import main

main()
