# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages that are made up, the same for the same seed on every machine: for tests and CI, where no
process may be read. They resemble the real ones in compressibility, not in detail."""
import struct

from .pages import PAGE, interleave

SYLLABLES = ("ta", "ro", "mi", "ken", "sol", "vi", "dra", "el", "pu", "nor", "is", "qua", "th", "ber")


class Maker:
    def __init__(self, random):
        self.random = random
        self.words = ["".join(random.choices(SYLLABLES, k=random.randrange(1, 5)))
                      for _ in range(1500)]
        self.opcodes = [random.randbytes(random.randrange(2, 9)) for _ in range(700)]

    def text(self):
        data = " ".join(self.random.choices(self.words, k=900)).encode()
        return data[:PAGE].ljust(PAGE, b"\n")

    def heap(self):
        """Allocator headers, pointers into one heap, small integers, short strings, gaps."""
        random = self.random
        base = 0x7F0000000000 + (random.randrange(1 << 20) << 16)
        data = bytearray()
        while len(data) < PAGE:
            data += struct.pack("<QQ", random.choice((33, 49, 65, 97)),
                                base + random.randrange(1 << 12) * 16)
            data += struct.pack("<II", random.randrange(1 << 14), random.choice((0, 1, 2)))
            if random.random() < 0.6:
                data += random.choice(self.words).encode().ljust(16, b"\0")
            data += bytes(random.choice((0, 8, 16, 48)))
        return bytes(data[:PAGE])

    def json(self):
        random = self.random
        data = bytearray()
        while len(data) < PAGE:
            data += (f'{{"id": {random.randrange(10**6)}, "name": "{random.choice(self.words)}", '
                     f'"score": {random.random():.6f}, "tags": ["{random.choice(self.words)}"]}}\n'
                     ).encode()
        return bytes(data[:PAGE])

    def code(self):
        """Like machine code: few frequent byte sequences between operands."""
        random = self.random
        data = bytearray()
        while len(data) < PAGE:
            rank = int(random.paretovariate(0.8)) % len(self.opcodes)
            data += self.opcodes[rank] + random.randbytes(random.choice((0, 1, 1, 2, 4)))
        return bytes(data[:PAGE])

    def sparse(self):
        data = bytearray(PAGE)
        for _ in range(self.random.randrange(20, 120)):
            at = self.random.randrange(PAGE - 8)
            data[at:at + 8] = self.random.randbytes(8)
        return bytes(data)

    def noise(self):
        return self.random.randbytes(PAGE)

    def pages(self, count, shares):
        """{kind: pages} for {kind: share}; the first kind takes the rounding."""
        counts = {kind: int(count * share) for kind, share in shares.items()}
        counts[next(iter(counts))] += count - sum(counts.values())
        return {kind: [getattr(self, kind)() for _ in range(n)] for kind, n in counts.items()}

    def zero(self):
        return bytes(PAGE)


ANON = {"heap": 0.55, "json": 0.2, "sparse": 0.22, "zero": 0.03}
FILE = {"code": 0.5, "text": 0.45, "noise": 0.05}


def anon(random, count):
    return Maker(random).pages(count, ANON)


def page_cache(random, count):
    """A twentieth of the pages is there twice, as in real page caches."""
    twice = count // 20
    parts = Maker(random).pages(count - twice, FILE)
    parts["again"] = [random.choice(parts["text"]) for _ in range(twice)]
    return parts


def incompressible(random, count):
    return Maker(random).pages(count, {"noise": 1.0})


def image_of_guests(random, count):
    return interleave(random, Maker(random).pages(count, FILE).values())
