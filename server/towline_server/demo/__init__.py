"""The demo: a server that forgets everything, over two repositories, for who looks at it first."""

from __future__ import annotations

from .curl import CurlLine, curl_lines
from .hosting import Demonstration, demonstration

__all__ = ["CurlLine", "Demonstration", "curl_lines", "demonstration"]
