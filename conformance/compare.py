"""Whether an answer is the expected one."""

import base64
import json
import math

import values

# Parts of an answer that may be left out if they say nothing.
EMPTY = (None, [], {}, "0")


def differences(expect: dict, answer: dict) -> list[str]:
    """What differs, in lines for people; nothing if the answer is right."""
    if "result" in expect:
        if "result" not in answer:
            return [f"expected a result, and got {short(answer)}"]
        actual = answer["result"]
        if expect.get("partly") and isinstance(actual, dict):  # what the case does not name may have any value
            actual = {key: value for key, value in actual.items() if key in expect["result"]}
        return list(objects(expect["result"], actual, "", expect.get("nan")))
    if "error" not in answer:
        return [f"expected the error {short(expect['error'])}, and got {short(answer)}"]
    return list(errors(expect["error"], answer["error"]))


def short(value) -> str:
    text = json.dumps(value)
    return text if len(text) < 600 else f"{text[:600]}..."


def objects(expected, actual, path: str, nan: str | None):
    """Compares JSON values. Numbers must be equal to the bit, except that all NaNs are one."""
    if values.is_tensor(expected):
        yield from tensors(expected, actual, path, nan)
    elif isinstance(expected, dict):
        if not isinstance(actual, dict):
            yield f"{path or 'result'}: expected an object, and got {short(actual)}"
            return
        for key in dict.fromkeys([*expected, *actual]):
            one, other = expected.get(key), actual.get(key)
            if one in EMPTY and other in EMPTY:
                continue
            if key not in expected:
                yield f"{path}{key}: must not be in the answer, and is {short(other)}"
            elif key not in actual:
                yield f"{path}{key}: is not in the answer; expected {short(one)}"
            else:
                yield from objects(one, other, f"{path}{key}.", nan)
    elif isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            yield f"{path.rstrip('.')}: expected {short(expected)}, and got {short(actual)}"
            return
        for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from objects(one, other, f"{path.rstrip('.')}[{index}].", nan)
    elif not equal(expected, actual):
        yield f"{path.rstrip('.')}: expected {short(expected)}, and got {short(actual)}"


SPECIAL = ("NaN", "Infinity", "-Infinity")


def equal(expected, actual) -> bool:
    numeric = [(isinstance(x, int | float) and not isinstance(x, bool)) or x in SPECIAL for x in (expected, actual)]
    if all(numeric):
        return values.float64_bits(float(expected)) == values.float64_bits(float(actual))
    return type(expected) is type(actual) and expected == actual


def tensors(expected: dict, actual, path: str, nan: str | None):
    name = path.rstrip(".")
    if not isinstance(actual, dict):
        yield f"{name}: expected a tensor, and got {short(actual)}"
        return
    for key in ("name", "dtype", "shape"):
        if (expected.get(key) or None) != (actual.get(key) or None):
            yield f"{name}.{key}: expected {short(expected.get(key))}, and got {short(actual.get(key))}"
            return
    if "sha256" in expected:
        if expected["sha256"] != actual.get("sha256"):
            yield f"{name}.sha256: expected {expected['sha256']}, and got {short(actual.get('sha256', actual))}"
        return
    try:
        one, other = base64.b64decode(expected["data"]), base64.b64decode(actual["data"], validate=True)
    except (KeyError, TypeError, ValueError):
        yield f"{name}.data: is no base64: {short(actual)}"
        return
    if nan == "any quiet":
        one, other = quieted(one, expected["dtype"]), quieted(other, expected["dtype"])
    if one != other:
        yield from bytes_differ(one, other, expected, name)


def quieted(data: bytes, dtype: str) -> bytes:
    """The same with every quiet NaN replaced by the canonical one."""
    size, fraction = values.SIZES[dtype], values.FORMATS[dtype][1]
    result = bytearray()
    for i in range(0, len(data), size):
        bits = int.from_bytes(data[i : i + size], "little")
        if math.isnan(values.from_bits(bits, dtype)) and bits >> (fraction - 1) & 1:
            bits = values.to_bits(math.nan, dtype)
        result += bits.to_bytes(size, "little")
    return bytes(result)


def bytes_differ(one: bytes, other: bytes, tensor: dict, name: str):
    if len(one) != len(other):
        yield f"{name}.data: expected {len(one)} bytes, and got {len(other)}"
        return
    size, dtype = values.SIZES[tensor["dtype"]], tensor["dtype"]
    wrong = [i for i in range(0, len(one), size) if one[i : i + size] != other[i : i + size]]
    for i in wrong[:3]:
        pair = [int.from_bytes(data[i : i + size], "little") for data in (one, other)]
        expected, actual = (f"{bits:0{2 * size}x} ({values.from_bits(bits, dtype)!r})" for bits in pair)
        yield f"{name}[{i // size}]: expected {expected}, and got {actual}"
    if len(wrong) > 3:
        yield f"{name}: {len(wrong)} of {len(one) // size} elements differ"


def errors(expected: dict, actual):
    """Compares what `expected` has. A list in `fields` allows one of its names; "some" allows any names."""
    if not isinstance(actual, dict):
        yield f"error: expected an object, and got {short(actual)}"
        return
    for key, value in expected.items():
        got = actual.get(key)
        if key == "norm" and got is None:
            continue  # a gap: see `gaps`
        if key == "fields":
            right = fields(value, got)
        elif key == "text_at_most":
            text = actual.get("message")
            got = f"{len(text.encode())} bytes" if isinstance(text, str) else text
            right = isinstance(text, str) and 0 < len(text.encode()) <= value
        elif key == "code":
            right = got in value if isinstance(value, list) else got == value
        elif key == "norm":
            right = not list(objects(value, got, "norm.", None))
        else:
            right = (value is None and got is None) or equal(value, got)
        if not right:
            yield f"error.{key}: expected {short(value)}, and got {short(got)} in {short(actual)}"


def gaps(expect: dict, answer: dict) -> list[str]:
    """What an answer that is right may lack."""
    if "norm" in expect.get("error", {}) and answer["error"].get("norm") is None:
        return ["the error has no details of the norm"]
    return []


def fields(expected, actual) -> bool:
    if not isinstance(actual, list):
        return False
    if expected == "some":
        return bool(actual) and all(isinstance(field, str) and field for field in actual)
    if len(expected) != len(actual):
        return False
    pairs = zip(expected, actual, strict=True)
    return all(field in names if isinstance(names, list) else field == names for names, field in pairs)
