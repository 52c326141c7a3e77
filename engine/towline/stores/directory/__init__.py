"""A store in a folder of ordinary files, which any editor may touch at any time."""
