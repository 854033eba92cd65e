"""The commands' options. Nothing here imports torch, so that --help answers at once."""
