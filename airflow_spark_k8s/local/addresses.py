"""A loopback address of its own for every pod."""

from __future__ import annotations

import errno
import random
import socket

_PODS_PER_BLOCK = 254 * 254
_LOCK_PORT = 10250  # a kubelet's port: only a number that all clusters agree on


class PodAddresses:
    """
    Addresses 127.B.x.y of one cluster, B being a block that no other cluster on this machine has.

    An address is not given out again before all others have been: a late client never meets another pod.

    :param chance: picks the block.
    """

    def __init__(self, chance: random.Random) -> None:
        self._lock, self._block = _free_block(chance)
        self._next = 0
        self._taken: dict[str, str] = {}

    def take(self, owner: str) -> str:
        """Address of the owner; the same one until `release`."""
        if owner not in self._taken:
            in_use = set(self._taken.values())
            while (address := self._advance()) in in_use:
                continue
            self._taken[owner] = address
        return self._taken[owner]

    def release(self, owner: str) -> None:
        """Free the owner's address; unknown owners are no error."""
        self._taken.pop(owner, None)

    def close(self) -> None:
        """Give the block back."""
        self._lock.close()

    def _advance(self) -> str:
        high, low = divmod(self._next % _PODS_PER_BLOCK, 254)
        self._next += 1
        return f"127.{self._block}.{high + 1}.{low + 1}"


def _free_block(chance: random.Random) -> tuple[socket.socket, int]:
    for block in chance.sample(range(1, 255), 254):
        lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            # A socket is the simplest lock that goes with its process.
            lock.bind((f"127.{block}.0.1", _LOCK_PORT))
        except OSError as error:
            lock.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return lock, block
    raise OSError(errno.EADDRNOTAVAIL, "every block of 127.0.0.0/8 is taken by another local cluster")
