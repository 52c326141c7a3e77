"""Projects: their assets, bytes and pull log as rows; the library's store port over them."""
