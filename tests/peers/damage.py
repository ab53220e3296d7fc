"""Ways to damage a store at rest. Each takes the randomness, the data folder's copy and the template, and says what it did."""

import os
import shutil

MARK = "store.mark"


def files(data, empty=False):
    """The store's files, and the mark beside them."""
    found = [path for path in sorted((data / "store").rglob("*")) if path.is_file()]
    found += [data / MARK] if (data / MARK).is_file() else []
    return [path for path in found if empty or path.stat().st_size]


def some(chance, data):
    """One of them; every other time the largest, where the records are."""
    found = files(data)
    return max(found, key=lambda path: path.stat().st_size) if chance.random() < 0.5 else chance.choice(found)


def small(chance, data):
    """One that is not the largest."""
    largest = max(files(data), key=lambda path: path.stat().st_size)
    return chance.choice([path for path in files(data) if path != largest] or [largest])


def largest(data):
    return max(files(data), key=lambda path: path.stat().st_size)


def mark(data):
    """The mark, or the records' file of a version that has none."""
    return data / MARK if (data / MARK).is_file() else largest(data)


def overwrite(path, at, new):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(new)
    return f"{path.name} at {at} of {path.stat().st_size}"


def used(path, chance):
    """A place in a file that has something else than zeroes around it, if there is one: a store's file may have long holes."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        for _ in range(50):
            at = chance.randrange(size)
            file.seek(max(0, at - 16))
            if any(file.read(32)):
                break
    return at


def byte(path, chance):
    at = used(path, chance)
    with open(path, "rb") as file:
        file.seek(at)
        [old] = file.read(1)
    return "one byte, " + overwrite(path, at, bytes([old ^ chance.randrange(1, 256)]))


def a_byte_of_the_records(chance, data, _):
    return byte(largest(data), chance)


def a_byte_of_another_file(chance, data, _):
    return byte(small(chance, data), chance)


def a_byte_of_the_mark(chance, data, _):
    return byte(mark(data), chance)


def a_run_of_bytes(chance, data, _):
    path = some(chance, data)
    at = used(path, chance)
    length = min(path.stat().st_size - at, chance.choice((2, 16, 300, 5000)))
    return f"{length} bytes, " + overwrite(path, at, chance.randbytes(length))


def a_block_of_zeroes(chance, data, _):
    path = some(chance, data)
    at = used(path, chance) // 4096 * 4096
    return "zeroes, " + overwrite(path, at, bytes(min(4096, path.stat().st_size - at)))


def cut_short(chance, data, _):
    path = some(chance, data)
    size = path.stat().st_size
    left = chance.choice((chance.randrange(size), max(0, size - chance.randrange(1, 5000)), size // 2))
    os.truncate(path, left)
    return f"{path.name} of {size} cut to {left}"


def emptied(chance, data, _):
    path = some(chance, data)
    os.truncate(path, 0)
    return f"{path.name} emptied"


def removed(chance, data, _):
    path = some(chance, data)
    path.unlink()
    return f"{path.name} removed"


def the_mark_cut_short(chance, data, _):
    path = mark(data)
    left = chance.randrange(path.stat().st_size)
    os.truncate(path, left)
    return f"{path.name} cut to {left}"


def the_mark_removed(chance, data, _):
    if not (data / MARK).is_file():
        return removed(chance, data, _)
    mark(data).unlink()
    return "the mark removed"


def the_store_removed(chance, data, _):
    shutil.rmtree(data / "store")
    return "the store's folder removed"


def the_store_emptied(chance, data, _):
    shutil.rmtree(data / "store")
    (data / "store").mkdir()
    return "the store's folder emptied"


def an_older_copy(chance, data, template):
    shutil.rmtree(data / "store")
    shutil.copytree(template.older / "store", data / "store")
    return "the store as it was some minutes before"


def an_older_mark(chance, data, template):
    if not (template.older / MARK).is_file():
        return an_older_copy(chance, data, template)
    shutil.copy(template.older / MARK, data / MARK)
    return "the mark as it was some minutes before"


def another_servers(chance, data, template):
    shutil.rmtree(data / "store")
    shutil.copytree(template.other / "store", data / "store")
    return "another server's store"


KINDS = (
    a_byte_of_the_records, a_run_of_bytes, cut_short, a_byte_of_another_file, a_block_of_zeroes, removed, a_byte_of_the_records,
    a_byte_of_the_mark, emptied, the_store_removed, a_run_of_bytes, an_older_copy, a_byte_of_the_records, the_mark_removed,
    a_block_of_zeroes, another_servers, cut_short, an_older_mark, the_store_emptied, the_mark_cut_short,
)
