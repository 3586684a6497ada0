"""`python -m xbar.cli`."""

from xbar.cli import main

main()
