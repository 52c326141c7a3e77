"""Where assets live: the stores that fill the `AssetStore` port."""
