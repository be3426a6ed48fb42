"""`python -m audiofix` does what the command `audiofix` does."""

from audiofix.cli.app import main

if __name__ == "__main__":
    main()
