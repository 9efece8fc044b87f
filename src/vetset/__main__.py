"""`python -m vetset`: the command, where its script is not on the path."""

from vetset.cli import main

main()
