"""Folders for tests that make thousands of projects: in memory, where the system has that."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def scratch():
    """A folder for one module's tests."""
    fit = SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    with TemporaryDirectory(dir=SHARED_MEMORY if fit else None) as folder:
        yield Path(folder)


@pytest.fixture
def tmp_path(scratch):
    """A folder for one test, in the module's."""
    with TemporaryDirectory(dir=scratch) as folder:
        yield Path(folder)
