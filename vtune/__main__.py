"""`python -m vtune` is the command line."""

from vtune.cli import main

if __name__ == "__main__":
    main()
