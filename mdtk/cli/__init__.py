"""The command line `mdtk`, which tools/ shares, and `load_model` for notebooks."""
