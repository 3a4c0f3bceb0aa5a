"""`python -m deqlab` is the same as the installed command `deqlab`."""

from deqlab.app.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
