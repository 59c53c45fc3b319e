"""The program as a part of another's work: it ends, keeping what is whole, when the one that began it is gone.

The other holds the far end of our stdin and never writes to it. Its end, whatever brought it about, closes that; no
process has to ask in between whether the other is still there.
"""

import os
import signal
import threading

from qts.cli.main import main


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main()
