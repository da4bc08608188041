# SPDX-License-Identifier: GPL-2.0-or-later
"""As much of a VT100 as ncurses uses with TERM=vt100: text, cursor movement, erasing, scrolling."""
import re

ESCAPE = re.compile(r"\x1b(?:\[([?0-9;]*)([A-Za-z])|([()])(.)|([78=>DME]))")


class Terminal:
    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.x = self.y = 0
        self.top, self.bottom = 0, rows - 1
        self.saved = (0, 0)
        self.pending = ""

    def lines(self):
        return ["".join(row).rstrip() for row in self.cells]

    def feed(self, text):
        text = self.pending + text
        self.pending = ""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                match = ESCAPE.match(text, at)
                if match is None:
                    if len(text) - at < 16:  # the rest comes with the next read
                        self.pending = text[at:]
                        return
                    at += 1
                    continue
                self.escape(match)
                at = match.end()
            else:
                self.put(text[at])
                at += 1

    def put(self, char):
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self.line_feed()
        elif char == "\b":
            self.x = max(0, self.x - 1)
        elif char == "\t":
            self.x = min(self.columns - 1, self.x // 8 * 8 + 8)
        elif char >= " ":
            if self.x >= self.columns:
                self.x = 0
                self.line_feed()
            self.cells[self.y][self.x] = char
            self.x += 1

    def line_feed(self):
        if self.y == self.bottom:
            del self.cells[self.top]
            self.cells.insert(self.bottom, [" "] * self.columns)
        else:
            self.y = min(self.rows - 1, self.y + 1)

    def escape(self, match):
        arguments, letter, _, _, single = match.groups()
        if single == "7":
            self.saved = (self.x, self.y)
        elif single == "8":
            self.x, self.y = self.saved
        elif single == "D":
            self.line_feed()
        elif single == "M":
            if self.y == self.top:
                del self.cells[self.bottom]
                self.cells.insert(self.top, [" "] * self.columns)
            else:
                self.y = max(0, self.y - 1)
        if letter is None or arguments.startswith("?"):
            return
        numbers = [int(n) if n else 0 for n in arguments.split(";")]
        count = max(1, numbers[0])
        if letter in "Hf":
            self.y = min(self.rows, max(1, numbers[0])) - 1
            self.x = min(self.columns, max(1, numbers[1] if len(numbers) > 1 else 1)) - 1
        elif letter == "A":
            self.y = max(0, self.y - count)
        elif letter == "B":
            self.y = min(self.rows - 1, self.y + count)
        elif letter == "C":
            self.x = min(self.columns - 1, self.x + count)
        elif letter == "D":
            self.x = max(0, self.x - count)
        elif letter == "J":
            self.erase_line(numbers[0])
            first, last = (self.y + 1, self.rows) if numbers[0] == 0 else (0, self.y)
            for y in range(first, self.rows if numbers[0] == 2 else last):
                self.cells[y] = [" "] * self.columns
        elif letter == "K":
            self.erase_line(numbers[0])
        elif letter == "r":
            self.top = max(1, numbers[0]) - 1
            self.bottom = (numbers[1] if len(numbers) > 1 and numbers[1] else self.rows) - 1
            self.x = self.y = 0

    def erase_line(self, how):
        first, last = {0: (self.x, self.columns), 1: (0, self.x + 1)}.get(how, (0, self.columns))
        for x in range(first, min(last, self.columns)):
            self.cells[self.y][x] = " "
