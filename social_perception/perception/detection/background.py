"""Makes a thread give way to the others, which keep up with the camera."""

from __future__ import annotations

import os
import sys
import threading

NICENESS = 2
"""Added to the thread's own; much more would starve it where other programs keep the machine busy."""


def give_way() -> None:
    """Run this thread, and those that torch starts for it, behind the process's other threads.

    It gets a lower priority (on Linux, where threads have one of their own) and half of torch's
    threads. With as many threads as cores each step of the network would wait for the one whose
    core is following faces, and waste the others' time by waiting.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
    torch = sys.modules.get("torch")
    if torch is None:
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // 2))
    # The call holds for this thread and for all that begin later; these are to have what they had.
    other = threading.Thread(target=torch.set_num_threads, args=(threads,))
    other.start()
    other.join()
