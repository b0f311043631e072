"""The few steps between fork and exec of a server: run as a script, never imported.

    python -I -S launch.py PARENT_PID SIGNAL UID GID COMMAND...

It hears all signals again, asks the kernel to send SIGNAL when the parent dies (Linux), becomes
UID:GID (-1: stays), and turns into COMMAND. A script, because the alternative, `preexec_fn`, runs
Python between fork and exec of a process that has threads; and with an account, because that
account need not be able to read the interpreter, which is loaded before the change.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Take the arguments from the command line; does not return."""
    parent, signal_number, uid, gid = (int(word) for word in sys.argv[1:5])
    command = sys.argv[5:]
    # A shell that runs us in the background has us ignore SIGINT, and what we start inherits that.
    for stops in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(stops, signal.SIG_DFL)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which clears the setting.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent died before its child could start")
    os.execv(command[0], command)  # noqa: S606  # becoming this program is the purpose


main()
