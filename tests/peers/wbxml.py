"""WBXML as ActiveSync uses it, by hand: elements are (page, token, content), content a text or a list of elements."""

HEAD = bytes([0x03, 0x01, 0x6A, 0x00])
SWITCH_PAGE, END, STR_I, OPAQUE = 0x00, 0x01, 0x03, 0xC3
CONTENT = 0x40


def document(root):
    """The bytes of a document with that root."""
    out = bytearray(HEAD)
    encode(root, 0, out)
    return bytes(out)


def encode(element, page, out):
    """Appends an element; returns the code page that is current after it."""
    wanted, token, content = element
    if wanted != page:
        out += bytes([SWITCH_PAGE, wanted])
        page = wanted
    if not content:
        out.append(token)
        return page
    out.append(token | CONTENT)
    if isinstance(content, str):
        out += bytes([STR_I]) + content.encode() + b"\0"
    else:
        for child in content:
            page = encode(child, page, out)
    out.append(END)
    return page


def parse(data):
    """The root element of a document."""
    assert data[:4] == HEAD, f"not ActiveSync's WBXML: {data[:40]!r}"
    reader = Reader(data)
    root = reader.element()
    assert reader.at == len(data), f"bytes after the end: {data!r}"
    return root


class Reader:
    """Where we are in a document, and on which page."""

    def __init__(self, data):
        self.data, self.at, self.page = data, 4, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def element(self):
        token = self.byte()
        while token == SWITCH_PAGE:
            self.page = self.byte()
            token = self.byte()
        page = self.page
        assert not token & 0x80, f"an element with attributes at {self.at}"
        if not token & CONTENT:
            return (page, token, [])
        children, text = [], None
        while self.data[self.at] != END:
            if self.data[self.at] == STR_I:
                end = self.data.index(0, self.at)
                text = (text or "") + self.data[self.at + 1 : end].decode()
                self.at = end + 1
            elif self.data[self.at] == OPAQUE:
                self.at += 1
                text = (text or "") + self.opaque().decode("latin-1")
            elif self.data[self.at] == SWITCH_PAGE and self.data[self.at + 2] == END:
                self.page = self.data[self.at + 1]
                self.at += 2
            else:
                children.append(self.element())
        self.at += 1
        return (page, token & ~CONTENT, children if text is None else text)

    def opaque(self):
        length = 0
        while True:
            more = self.byte()
            length = length << 7 | more & 0x7F
            if not more & 0x80:
                break
        self.at += length
        return self.data[self.at - length : self.at]


def find(element, page, token):
    """All elements of that name, the element itself among them."""
    found = [element] if element[:2] == (page, token) else []
    if isinstance(element[2], list):
        for child in element[2]:
            found += find(child, page, token)
    return found


def text(element, page, token):
    """The text of the first element of that name, or `None`."""
    found = find(element, page, token)
    return found[0][2] or "" if found else None
