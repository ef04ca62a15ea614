"""`python -m retrolabel` is the `retrolabel` command."""

from retrolabel.pipelines.cli import main

main()
