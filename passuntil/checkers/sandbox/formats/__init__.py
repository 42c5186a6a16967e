"""Problems of other formats as `CodeTests`: MBPP's assertions, programs that read and print."""

from passuntil.checkers.sandbox.formats.calls import call_tests
from passuntil.checkers.sandbox.formats.mbpp import mbpp_tests
from passuntil.checkers.sandbox.formats.rules import Rules
from passuntil.checkers.sandbox.formats.stdio import stdio_tests

__all__ = ["Rules", "call_tests", "mbpp_tests", "stdio_tests"]
