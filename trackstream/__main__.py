"""`python -m trackstream`: the `trackstream` command."""

from trackstream.cli import main

if __name__ == "__main__":
    main(prog_name="trackstream")
