"""From LLVM IR to a linked WebAssembly core module: optimisation, code generation, linking.

The parts are those of pip packages: llvmlite carries LLVM with its WebAssembly target, ziglang carries `wasm-ld`.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import llvmlite.binding as llvm

TRIPLE = "wasm32-unknown-unknown"
FEATURES = "+simd128,+bulk-memory"
STACK_BYTES = 65536
MAX_MEMORY_BYTES = 128 * 1024 * 1024

_POINTER_SLOT = re.compile(r"^ *(%\S+) = alloca ptr\b", re.MULTILINE)
_NUMBER_ACCESS = re.compile(r"(?:\bstore i\d+ .*|= load i\d+), ptr (%[^\s,]+)")


class LinkError(Exception):
    """A symbol that survived to the linker: the core used something that is outside its subset."""


class LayoutError(Exception):
    """IR that was optimised for pointers of another width; names the function."""


def compile_modules(modules: list[str], exports: list[str]) -> bytes:
    """The wasm32 object file of several LLVM IR modules, linked and optimised as one, of which hosts see the exports.

    Raises LayoutError for IR that only means the same where a pointer is as wide as a number.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(opt=3, features=FEATURES, reloc="static")
    header = f'target datalayout = "{machine.target_data}"\ntarget triple = "{TRIPLE}"\n'
    linked = llvm.parse_assembly(header)
    for module in modules:
        _refuse_shared_slots(module)
        linked.link_in(llvm.parse_assembly(header + _for_wasm(module)))
    _allow_null(linked)
    _hide_all_but(exports, linked)
    linked.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(linked, passes)
    return bytes(machine.emit_object(linked))


def _refuse_shared_slots(module: str) -> None:
    """Where pointers take 64 bits, LLVM may let a number share the stack slot of a pointer. Here they take 32.

    The number would not fit, so LLVM would take it for one that is never read.
    """
    for function in module.split("\ndefine ")[1:]:
        slots = set(_POINTER_SLOT.findall(function))
        if any(slot in slots for slot in _NUMBER_ACCESS.findall(function)):
            name = re.search(r"@([^(]+)\(", function)
            assert name is not None
            raise LayoutError(
                f"{name[1]}: a number stands in the stack slot of a pointer, so this IR was optimised for another "
                "machine; lower the core without optimisation (NUMBA_OPT=0)"
            )


def _for_wasm(module: str) -> str:
    """Drop the host's layout; make common symbols, which the wasm backend does not know, internal ones."""
    lines = [line for line in module.splitlines() if not line.startswith(("target datalayout", "target triple"))]
    return re.sub(r"= (?:linkonce_odr |weak_odr )?common ", "= internal ", "\n".join(lines))


def _allow_null(module: llvm.ModuleRef) -> None:
    """A null pointer is an address like any other in linear memory, so LLVM must not assume that it is never used."""
    for function in module.functions:
        if not function.is_declaration:
            function.add_function_attribute("null_pointer_is_valid")


def _hide_all_but(exports: list[str], module: llvm.ModuleRef) -> None:
    """What only the module itself calls may be inlined without a copy left, and lose the parameters that it ignores."""
    for function in module.functions:
        if not function.is_declaration and function.name not in exports:
            function.linkage = "internal"


def link(object_file: bytes, exports: list[str]) -> bytes:
    """The core module that exports the named symbols and its memory.

    Raises LinkError when a symbol is left that nothing defines: `Py*` and `NRT_*` mean Python objects.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "core.o"), Path(folder, "core.wasm")
        source.write_bytes(object_file)
        command = [sys.executable, "-m", "ziglang", "wasm-ld", "--no-entry", "--gc-sections", "--strip-all"]
        command += ["--stack-first", f"-zstack-size={STACK_BYTES}", f"--max-memory={MAX_MEMORY_BYTES}"]
        command += [f"--export={name}" for name in exports]
        run = subprocess.run([*command, str(source), "-o", str(target)], capture_output=True, text=True)
        if run.returncode:
            raise LinkError(_explain(run.stderr))
        return target.read_bytes()


def _explain(stderr: str) -> str:
    names = sorted(set(re.findall(r"undefined symbol: (\S+)", stderr)))
    if not names:
        return stderr.strip()
    hint = "Py* and NRT_* symbols come from Python objects: lists, strings, floats' formatting, exceptions, allocation"
    return f"the core needs symbols that WebAssembly does not have: {', '.join(names)} ({hint})"
