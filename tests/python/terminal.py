"""Runs a program on a terminal of its own, and types.

    terminal.py QUESTION ANSWER [QUESTION ANSWER ...] -- PROGRAM [ARGUMENT ...]

Each answer is typed when its question has been asked and the program reads without an echo; or after
a while, where it never does. Prints what the terminal has shown, and ends as the program does.
"""

import os
import pty
import select
import sys
import termios
import time

PATIENCE = 60
# Within this the echo is off: what is typed before that shows.
SOON = 5


def echoes(terminal):
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


class Terminal:
    def __init__(self, command):
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.execv(command[0], command)
        self.shown = b""
        self.ended = False

    def look(self, seconds):
        """Takes what the program shows, until it shows nothing for so long."""
        while not self.ended and select.select([self.terminal], [], [], seconds)[0]:
            try:
                more = os.read(self.terminal, 4096)
            except OSError:
                # The program has left.
                more = b""
            self.ended = not more
            self.shown += more

    def answer(self, question, answer, after):
        """Types; gives the place in what was shown behind the question."""
        start = time.monotonic()
        while (place := self.shown.find(question, after)) < 0:
            self.look(0.01)
            if self.ended or time.monotonic() - start > PATIENCE:
                return len(self.shown)
        start = time.monotonic()
        while echoes(self.terminal) and time.monotonic() - start < SOON:
            time.sleep(0.005)
        os.write(self.terminal, answer + b"\n")
        return place + len(question)


def main():
    end = sys.argv.index("--")
    words = [word.encode() for word in sys.argv[1:end]]
    terminal = Terminal(sys.argv[end + 1 :])
    place = 0
    for question, answer in zip(words[::2], words[1::2]):
        place = terminal.answer(question, answer, place)
    start = time.monotonic()
    while not terminal.ended and time.monotonic() - start < PATIENCE:
        terminal.look(0.1)
    sys.stdout.buffer.write(terminal.shown)
    sys.stdout.flush()
    if not terminal.ended:
        sys.exit("the program does not end")
    _, status = os.waitpid(terminal.child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
