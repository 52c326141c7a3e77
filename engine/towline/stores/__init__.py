"""Where assets live: the stores that fill the `AssetStore` port."""

SAVED_RESOLUTIONS = "resolutions"
"""The name of the text that lists the assets with a saved resolution; most projects have none."""
