"""Compiles the preload library that gives Pods their own address; everything else about the build is in pyproject.toml.

The library is plain C without Python. Where there is no compiler the package installs all the same: Pods then share ports instead
(`raysail doctor` says so).
"""

from __future__ import annotations

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

PRELOAD = "raysail.node.native.preload"


class BuildPreload(build_ext):
    """A shared library with a plain name instead of a Python module."""

    def get_ext_filename(self, fullname: str) -> str:
        """`preload.so`, for every Python version."""
        return fullname.replace(".", "/") + ".so" if fullname.endswith("preload") else super().get_ext_filename(fullname)

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """None to force: there is no module init function."""
        return list(ext.export_symbols)


class PlatformWheel(bdist_wheel):
    """One wheel per platform, good for all Python versions."""

    def get_tag(self) -> tuple[str, str, str]:
        """The tag without interpreter and ABI."""
        return ("py3", "none", super().get_tag()[2])


setup(
    ext_modules=[Extension(PRELOAD, ["src/raysail/node/native/preload.c"], libraries=["dl"], extra_compile_args=["-O2"], optional=True)],
    cmdclass={"build_ext": BuildPreload, "bdist_wheel": PlatformWheel},
)
