"""Is a graph being recorded? One flag per thread, and the context managers that set it."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import wraps
from typing import Any, ClassVar


class _Mode(threading.local):
    recording = True
    suspicious = False  # look for nan in what each backward returns


mode = _mode = _Mode()


def is_grad_enabled() -> bool:
    """True where operations are recorded for backward (torch.is_grad_enabled)."""
    return mode.recording


class _Decorator(ContextDecorator):
    """A mode as a decorator: of functions, and of generator functions, whose body then runs in it, but nothing between."""

    def _recreate_cm(self) -> Any:
        raise NotImplementedError

    def __call__(self, function: Any) -> Any:
        if not inspect.isgeneratorfunction(function):
            return super().__call__(function)

        @wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            resume, value = generator.send, None
            while True:
                try:
                    with self._recreate_cm():
                        item = resume(value)
                except StopIteration as end:
                    return end.value
                try:
                    resume, value = generator.send, (yield item)
                except GeneratorExit:
                    with self._recreate_cm():
                        generator.close()
                    raise
                except BaseException as error:
                    resume, value = generator.throw, error

        return generate


class set_grad_enabled(_Decorator):
    """Record operations, or do not: as a call, a `with` block or a decorator (torch.set_grad_enabled)."""

    def __init__(self, enabled: bool):
        self.before = mode.recording
        self.enabled = mode.recording = bool(enabled)

    def __enter__(self) -> None:
        mode.recording = self.enabled

    def __exit__(self, *exception: object) -> None:
        mode.recording = self.before

    def __call__(self, function: Any) -> Any:
        mode.recording = self.before  # as a decorator it acts when the function runs, not here
        return super().__call__(function)

    def _recreate_cm(self) -> set_grad_enabled:
        return set_grad_enabled(self.enabled)


class _Setting(_Decorator):
    enabled: ClassVar[bool]
    before: bool

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        setting = super().__new__(cls)
        return setting if function is None else setting(function)  # @no_grad works without parentheses, too

    def _recreate_cm(self) -> _Setting:  # a decorated function may call itself, and run in several threads
        return type(self)()

    def __enter__(self) -> None:
        self.before = mode.recording
        mode.recording = self.enabled

    def __exit__(self, *exception: object) -> None:
        mode.recording = self.before


class no_grad(_Setting):
    """Do not record: a `with` block or a decorator (torch.no_grad)."""

    enabled = False


class enable_grad(_Setting):
    """Record again inside no_grad (torch.enable_grad)."""

    enabled = True


def inference_mode(mode: Any = True) -> Any:
    """no_grad; inference_mode(False) changes nothing (torch.inference_mode)."""
    if callable(mode):
        return no_grad(mode)
    return no_grad() if mode else set_grad_enabled(is_grad_enabled())


class set_detect_anomaly(_Decorator):
    """Raise RuntimeError as soon as an op's backward returns nan, naming the op (torch.autograd.set_detect_anomaly)."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self.before, self.enabled = _mode.suspicious, bool(mode and check_nan)
        _mode.suspicious = self.enabled

    def __enter__(self) -> None:
        _mode.suspicious = self.enabled

    def __exit__(self, *exception: object) -> None:
        _mode.suspicious = self.before

    def _recreate_cm(self) -> set_detect_anomaly:
        return set_detect_anomaly(self.enabled)


def detect_anomaly(check_nan: bool = True) -> set_detect_anomaly:
    """set_detect_anomaly for a `with` block (torch.autograd.detect_anomaly)."""
    return set_detect_anomaly(True, check_nan)
