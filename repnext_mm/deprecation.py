"""Old names that work until version 1.0, with a warning."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar('Function', bound=Callable[..., Any])


def renamed_argument(old: str, new: str) -> Callable[[Function], Function]:
    """Lets a function take a keyword argument under its old name, with a ``DeprecationWarning``.

    Args:
        old: Name of the argument in earlier versions.
        new: Its name today.

    Raises:
        TypeError: In the call, if both names are given.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def renamed(*args: Any, **kwargs: Any) -> Any:
            if old in kwargs:
                if new in kwargs:
                    raise TypeError(
                        f'{new!r} and its old name {old!r} were both given: use {new!r}'
                    )
                warn_of_old_name(f'the argument {old!r}', repr(new))
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return renamed  # type: ignore[return-value]

    return decorate


def warn_of_old_name(old: str, new: str, stacklevel: int = 2) -> None:
    """Warns that something has a new name.

    Args:
        old: What was used, such as ``"the argument 'mode'"``.
        new: What to use.
        stacklevel: As if the caller of this function called ``warnings.warn``: 1 is the caller,
            2 the function that used the old name by calling it.
    """
    warnings.warn(
        f'{old} is an old name that ends with version 1.0: use {new}',
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )
