"""Changes answers of the scripted server, so that they break the contract.

A change is an object of a message's fields by their names in protobuf's JSON, such as {"mean": {"shape": [5]}}. Each replaces
the field that the answer has; null removes it. An object that has `times` stands for so many of its `item`: a string, or the
items of a list.
"""

from google.protobuf import json_format


def change(message, wanted: dict) -> None:
    """Sets fields of a message. A part of a stream's message is changed where the message has that part."""
    fields = {field.json_name: field for field in message.DESCRIPTOR.fields}
    for name, value in expanded(wanted).items():
        field = fields[name]
        if field.containing_oneof and field.containing_oneof.name == "part":
            if message.WhichOneof("part") == field.name:
                change(getattr(message, field.name), value)
            continue
        message.ClearField(field.name)
        if value is not None:
            json_format.ParseDict({name: value}, message)


def expanded(value):
    """The same with every repeated item in full."""
    if isinstance(value, dict) and "times" in value:
        item, times = expanded(value["item"]), value["times"]
        return item * times if isinstance(item, str) else [item] * times
    if isinstance(value, dict):
        return {key: expanded(item) for key, item in value.items()}
    return [expanded(item) for item in value] if isinstance(value, list) else value
