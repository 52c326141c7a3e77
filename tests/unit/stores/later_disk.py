"""A clock for tests that must not wait until a file's times can be trusted."""

from towline.stores.directory.disk import Disk


class LaterDisk(Disk):
    """A disk that is looked at a minute after its files were written."""

    def now_ns(self):
        return super().now_ns() + 60 * 10**9
