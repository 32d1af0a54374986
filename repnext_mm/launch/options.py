"""Changes to a config from a command line."""

import argparse
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction

QUOTES = '\'"'
BRACKETS = {'[]': list, '()': tuple}


class ConfigOptions(DictAction):
    """mmengine's ``DictAction``, but values keep their spaces, as the paths of folders need it.

    Between the elements of a list spaces do not count. A value in quotes of its own is one value,
    whatever commas are in it: ``data_root="'/data/my, own'"``.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Adds the pairs ``KEY=VALUE`` to those that are there."""
        options = dict(getattr(namespace, self.dest, None) or {})
        for pair in values or []:
            key, separator, text = pair.partition('=')
            if not key or not separator:
                parser.error(f'argument {option_string}: expected KEY=VALUE, got {pair!r}')
            try:
                options[key] = parse_value(text)
            except ValueError as error:
                parser.error(f'argument {option_string}: {pair!r}: {error}')
        setattr(namespace, self.dest, options)


def parse_value(text: str) -> Any:
    """A number, a truth value, None, a text, or a list or tuple of such.

    Raises:
        ValueError: If brackets or quotes of a list do not match.
    """
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES
    if quoted:
        text = text[1:-1]
    kind = BRACKETS.get(text[:1] + text[-1:])
    if kind and len(text) > 1 and len(split_list(text)) == 1:
        return kind(map(parse_value, split_list(text[1:-1])))
    if not quoted and ',' in text:
        return [parse_value(element) for element in split_list(text)]
    return DictAction._parse_int_float_bool(text)


def split_list(text: str) -> Sequence[str]:
    """Splits at the commas that lie in no brackets and in no quotes.

    Raises:
        ValueError: If brackets or quotes do not match.
    """
    parts, start, depth, quote = [], 0, 0, ''
    for place, sign in enumerate(text):
        if quote:
            quote = '' if sign == quote else quote
        elif sign in QUOTES and not text[start:place].strip('[( '):
            quote = sign
        elif sign in '[(':
            depth += 1
        elif sign in '])':
            depth -= 1
        elif sign == ',' and depth == 0:
            parts.append(text[start:place])
            start = place + 1
        if depth < 0:
            break
    if depth or quote:
        raise ValueError('brackets or quotes do not match')
    return [*parts, text[start:]] if text[start:].strip() else parts
