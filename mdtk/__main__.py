"""`python -m mdtk` is the command `mdtk`; torchrun starts it with `-m mdtk`."""

from mdtk.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
