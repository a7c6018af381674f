"""An embedded PostgreSQL, shared by all processes that use the same folder and gone with the last of them.

Each process joins by holding one connection open to the *keeper*, a small detached process that owns the folder and
has PostgreSQL as its child. The kernel closes the connection of a process that is killed, so nothing has to be
tidied up by the dying: when no client has been left for the grace, the keeper stops PostgreSQL and ends.

================  ===================================================================================
What is killed    What happens
================  ===================================================================================
a client          the others go on; after the last one, PostgreSQL and the keeper end
PostgreSQL        the keeper ends the orphaned backends and starts it again, on the same URL
the keeper        the kernel tells PostgreSQL to stop; any client left starts a new keeper, on the same URL
all of them       nothing runs on; the next start clears up and recovers what was committed
================  ===================================================================================
"""

from penstock.ledger.embedded.server import EmbeddedServer, ServerStatus, running

__all__ = ["EmbeddedServer", "ServerStatus", "running"]
