"""Filters as Exchange's `-Filter` takes them (OPATH): comparisons, `-and`, `-or`, `-not`, brackets; of a stated list of properties alone."""

import datetime
import re

TOKEN = re.compile(r"""\s*(?:(?P<bracket>[()])|(?P<op>-[A-Za-z]+)|'(?P<single>(?:[^']|'')*)'|"(?P<double>[^"]*)"|(?P<word>[^\s()'"]+))""")
COMPARE = {
    "-eq": lambda a, b: a == b, "-ne": lambda a, b: a != b, "-gt": lambda a, b: a > b, "-ge": lambda a, b: a >= b,
    "-lt": lambda a, b: a < b, "-le": lambda a, b: a <= b,
}


class Wrong(Exception):
    """A filter that Exchange would refuse."""


def moment(text):
    """A date as a filter may hold it: ISO 8601, or as the United States write it; UTC where no zone is said."""
    for form in ("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M", "%m/%d/%Y"):
        try:
            return datetime.datetime.strptime(text, form).replace(tzinfo=datetime.timezone.utc)
        except ValueError:
            pass
    try:
        found = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError as error:
        raise Wrong(f"Cannot convert value '{text}' to type System.DateTime") from error
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)


class Filter:
    """Parsed once; `fits(row)` for each object. `properties`: those that can be filtered by, as Exchange spells them."""

    def __init__(self, text, properties):
        self.properties = {name.lower(): name for name in properties}
        found = list(TOKEN.finditer(text))
        self.tokens = [match.groupdict() for match in found]
        if "".join(match.group() for match in found).strip() != text.strip():
            raise Wrong(f"Invalid filter syntax: {text}")
        self.at = 0
        self.fits = self._either()
        if self.at != len(self.tokens):
            raise Wrong(f"Invalid filter syntax: {text}")

    def _peek(self, kind):
        value = self.tokens[self.at][kind] if self.at < len(self.tokens) else None
        return value.lower() if value is not None else None

    def _take(self):
        if self.at == len(self.tokens):
            raise Wrong("Invalid filter syntax: it ends too soon")
        self.at += 1
        return self.tokens[self.at - 1]

    def _either(self):
        parts = [self._both()]
        while self._peek("op") == "-or":
            self._take()
            parts.append(self._both())
        return lambda row: any(part(row) for part in parts)

    def _both(self):
        parts = [self._one()]
        while self._peek("op") == "-and":
            self._take()
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self):
        if self._peek("op") == "-not":
            self._take()
            inner = self._one()
            return lambda row: not inner(row)
        if self._peek("bracket") == "(":
            self._take()
            inner = self._either()
            if self._take()["bracket"] != ")":
                raise Wrong("Invalid filter syntax: a bracket is not closed")
            return inner
        return self._comparison()

    def _comparison(self):
        name, op, value = (self._take() for _ in range(3))
        known = self.properties.get((name["word"] or "").lower())
        if known is None:
            raise Wrong(f"\"{name['word']}\" is not a recognized filterable property.")
        compare = COMPARE.get((op["op"] or "").lower())
        if compare is None:
            raise Wrong(f"Invalid filter syntax: {op}")
        wanted = next((value[kind] for kind in ("single", "double", "word") if value[kind] is not None), None)
        if wanted is None:
            raise Wrong("Invalid filter syntax: a value is missing")
        return lambda row: self._compared(compare, row.get(known), wanted.replace("''", "'"))

    @staticmethod
    def _compared(compare, have, wanted):
        if isinstance(have, bool):
            return compare(have, wanted.lower().lstrip("$") == "true")
        if isinstance(have, datetime.datetime):
            return compare(have, moment(wanted))
        if have is None:
            return compare in (COMPARE["-eq"], COMPARE["-ne"]) and compare(None, None if wanted.lower() == "$null" else wanted)
        return compare(str(have).lower(), wanted.lower())
