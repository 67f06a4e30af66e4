#!/usr/bin/env python3
"""Proves that trt_abi.h describes the same binary interface as NVIDIA's headers.

    abi_check.py [--cuda DIR] [--header DIR] [--lib LIBNVINFER] [-v] INCLUDE_DIR ...

For each INCLUDE_DIR (which holds NvInferRuntime.h) one probe is compiled twice, with NVIDIA's headers
and with ours, and the two are compared:

  vtables   of a concrete class per interface, from the assembly: order and full mangled name of each slot
  types     of each virtual function: result, parameters, const, noexcept
  layout    size and alignment of each class; offset and type of each field and of each protected member
  enums     size and value of each enumerator that either header has
  defaults  what each function with a body answers; the kind and version that each interface reports
  symbols   mangled names of the vtables, type infos, type names and functions of nvinfer1

Names of classes that only the host implements (ILogger, ILoggerFinder, IPluginRegistry, IPluginCreator) are ours
by choice; their vtables and types are compared all the same. --lib looks for our type names in a real library.
Exit status 0: nothing differs but for what is printed as known.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

FIELDS = {
    'Dims64': 'nbDims d',
    'PluginTensorDesc': 'dims type format scale',
    'DynamicPluginTensorDesc': 'desc min max opt',
    'DimsExprs': 'nbDims d',
    'PluginField': 'name data type length',
    'PluginFieldCollection': 'nbFields fields',
    'InterfaceInfo': 'kind major minor',
}
# Each interface, and the class of the probe that implements it.
INTERFACES = {
    'apiv::VDimensionExpr': 'VExpr',
    'apiv::VExprBuilder': 'VMaker',
    'IDimensionExpr': 'Expr',
    'IExprBuilder': 'Maker',
    'IPluginResourceContext': 'Context',
    'v_1_0::IPluginCapability': 'Capability',
    'v_1_0::IPluginResource': 'Resource',
    'v_1_0::IPluginV3': 'Plugin',
    'v_1_0::IPluginV3OneCore': 'Core',
    'v_1_0::IPluginV3OneBuild': 'Build',
    'v_2_0::IPluginV3OneBuild': 'Build2',
    'v_1_0::IPluginV3OneRuntime': 'Runtime',
    'v_1_0::IPluginCreatorV3One': 'Creator',
    'host::ILogger': 'Logger',
    'host::ILoggerFinder': 'Finder',
    'host::IPluginRegistry': 'Registry',
}
BASES = ['apiv::VRoot', 'INoCopy', 'IVersionedInterface', 'v_1_0::IPluginCreatorInterface']
INLINE = {
    'IDimensionExpr': 'isConstant getConstantValue isSizeTensor',
    'IExprBuilder': 'constant operation declareSizeTensor',
}
ENUMS = [
    'DataType',
    'TensorFormat',
    'DimensionOperation',
    'PluginFieldType',
    'PluginCapabilityType',
    'TensorRTPhase',
    'APILanguage',
    'LogSeverity',
]
HOST = 'ILogger ILoggerFinder IPluginRegistry IPluginCreator'.split()

PROBE = r'''
#include <cstddef>
#include <cstdio>
#include <cxxabi.h>
#include <typeinfo>
using namespace nvinfer1;
using Chars = char const*;
using Tensors = PluginTensorDesc const*;
using Dynamics = DynamicPluginTensorDesc const*;
using Exprs = DimsExprs const*;
using Size = IDimensionExpr const*;
struct VExpr : apiv::VDimensionExpr {
    bool isConstant() const override { return false; }
    int64_t getConstantValue() const override { return 0; }
    bool isSizeTensor() const override { return false; } };
struct VMaker : apiv::VExprBuilder {
    Size constant(int64_t) override { return nullptr; }
    Size operation(DimensionOperation, IDimensionExpr const&, IDimensionExpr const&) override { return nullptr; }
    Size declareSizeTensor(int32_t, IDimensionExpr const&, IDimensionExpr const&) override { return nullptr; } };
struct Expr : IDimensionExpr { static size_t at() { return offsetof(Expr, mImpl); } };
struct Maker : IExprBuilder { static size_t at() { return offsetof(Maker, mImpl); } };
struct Context : IPluginResourceContext {
    IGpuAllocator* getGpuAllocator() const noexcept override { return nullptr; }
    IErrorRecorder* getErrorRecorder() const noexcept override { return nullptr; } };
struct Capability : IPluginCapability { InterfaceInfo getInterfaceInfo() const noexcept override { return {}; } };
struct Resource : IPluginResource {
    int32_t release() noexcept override { return 0; }
    IPluginResource* clone() noexcept override { return nullptr; } };
struct Plugin : IPluginV3 {
    IPluginCapability* getCapabilityInterface(PluginCapabilityType) noexcept override { return nullptr; }
    IPluginV3* clone() noexcept override { return nullptr; } };
struct Core : IPluginV3OneCore {
    Chars getPluginName() const noexcept override { return ""; }
    Chars getPluginVersion() const noexcept override { return ""; }
    Chars getPluginNamespace() const noexcept override { return ""; } };
#define BUILD                                                                                             \
    int32_t configurePlugin(Dynamics, int32_t, Dynamics, int32_t) noexcept override { return 0; }         \
    int32_t getOutputDataTypes(DataType*, int32_t, DataType const*, int32_t) const noexcept override { return 0; }      \
    int32_t getOutputShapes(Exprs, int32_t, Exprs, int32_t, DimsExprs*, int32_t, IExprBuilder&) noexcept override { return 0; } \
    bool supportsFormatCombination(int32_t, Dynamics, int32_t, int32_t) noexcept override { return false; } \
    int32_t getNbOutputs() const noexcept override { return 0; }
struct Build : v_1_0::IPluginV3OneBuild { BUILD };
#if V2
struct Build2 : v_2_0::IPluginV3OneBuild { BUILD };
#endif
struct Runtime : IPluginV3OneRuntime {
    int32_t onShapeChange(Tensors, int32_t, Tensors, int32_t) noexcept override { return 0; }
    int32_t enqueue(Tensors, Tensors, void const* const*, void* const*, void*, cudaStream_t) noexcept override { return 0; }
    IPluginV3* attachToContext(IPluginResourceContext*) noexcept override { return nullptr; }
    PluginFieldCollection const* getFieldsToSerialize() noexcept override { return nullptr; } };
struct Creator : IPluginCreatorV3One {
    IPluginV3* createPlugin(Chars, PluginFieldCollection const*, TensorRTPhase) noexcept override { return nullptr; }
    PluginFieldCollection const* getFieldNames() noexcept override { return nullptr; }
    Chars getPluginName() const noexcept override { return ""; }
    Chars getPluginVersion() const noexcept override { return ""; }
    Chars getPluginNamespace() const noexcept override { return ""; } };
struct Logger : host::ILogger { void log(LogSeverity, Chars) noexcept override {} };
struct Finder : host::ILoggerFinder { host::ILogger* findLogger() override { return nullptr; } };
struct Registry : host::IPluginRegistry {
#if MAJOR == 10
    bool registerCreator(host::IPluginCreator&, Chars) noexcept override { return false; }
    host::IPluginCreator* const* getPluginCreatorList(int32_t*) const noexcept override { return nullptr; }
    host::IPluginCreator* getPluginCreator(Chars, Chars, Chars) noexcept override { return nullptr; }
    bool deregisterCreator(host::IPluginCreator const&) noexcept override { return false; }
#endif
    void setErrorRecorder(IErrorRecorder*) noexcept override {}
    IErrorRecorder* getErrorRecorder() const noexcept override { return nullptr; }
    bool isParentSearchEnabled() const override { return false; }
    void setParentSearchEnabled(bool) override {}
    void* loadLibrary(Chars) noexcept override { return nullptr; }
    void deregisterLibrary(void*) noexcept override {}
    bool registerCreator(IPluginCreatorInterface&, Chars) noexcept override { return false; }
    IPluginCreatorInterface* const* getAllCreators(int32_t*) const noexcept override { return nullptr; }
    IPluginCreatorInterface* getCreator(Chars, Chars, Chars) noexcept override { return nullptr; }
    bool deregisterCreator(IPluginCreatorInterface const&) noexcept override { return false; }
    IPluginResource* acquirePluginResource(Chars, IPluginResource*) noexcept override { return nullptr; }
    int32_t releasePluginResource(Chars) noexcept override { return 0; }
    IPluginCreatorInterface* const* getAllCreatorsRecursive(int32_t*) noexcept { return nullptr; } };

template <class T> Chars name() { return abi::__cxa_demangle(typeid(T).name(), nullptr, nullptr, nullptr); }
template <class T> void info(Chars what) {
    InterfaceInfo i = T{}.getInterfaceInfo();
    std::printf("defaults %s: {%s, %d, %d} language %d\n", what, i.kind, i.major, i.minor, int(T{}.getAPILanguage()));
}
template <class T> void build(Chars what) {
    T b; Chars id = b.getTimingCacheID(), meta = b.getMetadataString();
    std::printf("defaults %s: workspace %zu, tactics %d %d, cache %s, limit %d, metadata %s\n", what,
        b.getWorkspaceSize(nullptr, 0, nullptr, 0), b.getNbTactics(), b.getValidTactics(nullptr, 0), id ? id : "null",
        b.getFormatCombinationLimit(), meta ? meta : "null");
}
void report();
int main() {
    VExpr a; VMaker b; Expr c; Maker d; Context e; Capability f; Finder g; Logger h; Registry i; // their vtables
    info<Resource>("IPluginResource"), info<Plugin>("IPluginV3"), info<Core>("IPluginV3OneCore");
    info<Build>("IPluginV3OneBuild"), info<Runtime>("IPluginV3OneRuntime"), info<Creator>("IPluginCreatorV3One");
    build<Build>("IPluginV3OneBuild");
#if V2
    info<Build2>("IPluginV3OneBuildV2"), build<Build2>("IPluginV3OneBuildV2");
    std::printf("defaults IPluginV3OneBuildV2: alias %d\n", Build2{}.getAliasedInput(0));
#endif
#if MAJOR > 10
    info<Logger>("ILogger"), info<Finder>("ILoggerFinder");
#endif
    std::printf("defaults setTactic: %d\n", Runtime{}.setTactic(0));
    PluginField p; PluginFieldCollection q;
    std::printf("defaults PluginField: %p %p %d %d; collection: %d %p\n", (void*) p.name, p.data, int(p.type), p.length,
        q.nbFields, (void*) q.fields);
    std::printf("layout IDimensionExpr::mImpl at %zu\nlayout IExprBuilder::mImpl at %zu\n", Expr::at(), Maker::at());
    report();
}
'''


def run(*command, **kw):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **kw)
    if done.returncode:
        sys.exit(f'failed: {" ".join(map(str, command))}\n{done.stderr[:3000]}')
    return done.stdout


def neutral(line):
    """A demangled name, with one name for each host class, whatever header it came from."""
    line = re.sub(rf'nvinfer1::(?:trt1[01]|v_1_0)::({"|".join(HOST)})\b', r'nvinfer1::\1', line)
    line = re.sub(
        r'nvinfer1::(?:BasicRegistry<[^<>]*>|trt1[01]::RegistryHead)',
        'nvinfer1::IPluginRegistry',
        line,
    )
    return re.sub(r'nvinfer1::(?:LogSeverity|ILogger::Severity)', 'nvinfer1::LogSeverity', line)


def enumerators(text):
    """{enum: enumerators} of a header."""
    text = re.sub(r'//[^\n]*|/\*.*?\*/', '', text, flags=re.S)
    found = re.findall(r'enum class (\w+)\s*:\s*\w+\s*\{(.*?)\}', text, re.S)
    return {
        'LogSeverity' if e == 'Severity' else e: re.findall(r'(?:^|,)\s*(k\w+)', body)
        for e, body in found
    }


def vtables(assembly):
    """{class of the probe: slots}, demangled, without the first two words (offset and type info)."""
    tables = {}
    for label, body in re.findall(r'^_ZTV(\d+\w+):\n((?:\s+\.quad\s+\S+\n)+)', assembly, re.M):
        slots = run('c++filt', *re.findall(r'\.quad\s+(\S+)', body)[2:]).split('\n')[:-1]
        raw = re.findall(r'\.quad\s+(\S+)', body)[2:]
        # the two destructors look alike once demangled: keep their number
        tables[re.sub(r'^\d+', '', label)] = [
            neutral(s) + (f' [{m[1]}]' if (m := re.search(r'(D[012])Ev$', r)) else '')
            for s, r in zip(slots, raw)
        ]
    return tables


def probe(work, prelude, flags, enums):
    """Compiles and runs the probe; returns the vtables, the lines it prints and its symbols."""
    work.mkdir()
    (work / 'probe.cpp').write_text(prelude + PROBE + 'void report() {}\n')
    gcc = ['g++', '-std=c++17', '-O0', '-w', *flags]
    run(*gcc, '-S', 'probe.cpp', '-o', 'probe.s', cwd=work)
    tables = vtables((work / 'probe.s').read_text())

    lines, probes = [], ''
    interfaces = {i: c for i, c in INTERFACES.items() if c in tables}
    for c in [*FIELDS, *BASES, *interfaces]:
        lines.append(
            f'std::printf("layout {c}: size %zu, align %zu\\n", sizeof({c}), alignof({c}));'
        )
        if fields := FIELDS.get(c, '').split():  # compiles only if there are no other fields
            lines.append(f'{{ {c} all{{}}; auto& [{", ".join(fields)}] = all; }}')
        for f in FIELDS.get(c, '').split():
            lines.append(
                f'std::printf("layout {c}::{f} at %zu: %s\\n", offsetof({c}, {f}), name<decltype({c}::{f})>());'
            )
    for i, c in interfaces.items():
        names = [re.search(r'([~\w]+)\(', s)[1] for s in tables[c]] + INLINE.get(i, '').split()
        for f in dict.fromkeys(names):
            if (
                f[0] != '~' and names.count(f) == 1
            ):  # an overload has its parameters in the vtable lines only
                lines.append(f'std::printf("types {i}::{f}: %s\\n", name<decltype(&{i}::{f})>());')
    for e, names in enums.items():
        lines.append(f'std::printf("enums {e}: %zu bytes\\n", sizeof({e}));')
        for k in names:
            probes += (
                f'template <class T> auto {e}_{k}(int) -> decltype(long(T::{k})) {{ return long(T::{k}); }}\n'
                f'template <class T> long {e}_{k}(...) {{ return -999; }}\n'
            )
            lines.append(f'std::printf("enums {e}::{k} = %ld\\n", {e}_{k}<{e}>(0));')
    (work / 'probe.cpp').write_text(
        prelude + PROBE + probes + 'void report() {\n' + '\n'.join(lines) + '\n}\n'
    )
    run(*gcc, 'probe.cpp', '-o', 'probe', cwd=work)
    said = {neutral(line) for line in run(work / 'probe').splitlines()}
    symbols = {line.split()[-1] for line in run('nm', work / 'probe').splitlines()}
    symbols = {
        s for s in symbols if re.match(r'_ZT[VIS]N8nvinfer1|_ZNK?8nvinfer1(?!L)', s)
    }  # L: a constant
    return (
        tables,
        said,
        {
            s
            for s in symbols
            if not re.search('RegistryHead|' + '|'.join(f'{len(h)}{h}' for h in HOST), s)
        },
    )


def check(include, header, cuda, verbose):
    text = '\n'.join(f.read_text() for f in sorted(include.glob('NvInfer*.h')))
    number = (include / 'NvInferVersion.h').read_text()
    version = [
        re.search(rf'define (?:NV_TENSORRT|TRT)_{p}(?:_ENTERPRISE)?\s+(\d+)', number)[1]
        for p in ('MAJOR', 'MINOR', 'PATCH')
    ]
    enums = enumerators(text)
    ours_enums = enumerators((header / 'trt_abi.h').read_text())
    enums = {e: list(dict.fromkeys(ours_enums[e] + enums[e])) for e in ENUMS}
    v2 = 'namespace v_2_0' in text
    flags = [f'-DMAJOR={version[0]}', f'-DV2={int(v2)}']
    nvidia = (
        '#include <NvInferRuntime.h>\nnamespace nvinfer1 { using LogSeverity = ILogger::Severity; namespace host {'
        + ''.join(f' using nvinfer1::{h};' for h in HOST)
        + ' } }\n'
    )
    ours = f'#include <trt_abi.h>\nnamespace nvinfer1 {{ namespace host = trt{version[0]}; }}\n'
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        tables, said, symbols = probe(tmp / 'ours', ours, [*flags, f'-I{header}'], enums)
        tables2, said2, symbols2 = probe(
            tmp / 'nvidia', nvidia, [*flags, f'-I{include}', f'-isystem{cuda}'], enums
        )

    known, faults = [], []
    if not v2:
        known.append('no v_2_0::IPluginV3OneBuild')
    for i, c in INTERFACES.items():
        if c == 'Build2' and not v2:
            continue
        x, y = tables.get(c, []), tables2.get(c, [])
        if verbose:
            print(f'  {i}\n' + ''.join(f'    {n:2} {s}\n' for n, s in enumerate(y)), end='')
        if c == 'Registry' and x[:-1] == y and 'getAllCreatorsRecursive' in x[-1]:
            known.append('IPluginRegistry ends before getAllCreatorsRecursive')
            said = {s for s in said if 'IPluginRegistry::getAllCreatorsRecursive' not in s}
            continue
        if not y or x != y:
            faults.append(f'vtable of {i}:')
            for n in range(max(len(x), len(y), 1)):
                p, q = (t[n] if n < len(t) else 'nothing' for t in (x, y))
                if p != q or not y:
                    faults.append(f'    slot {n}: ours {p}; NVIDIA {q}')
    lacking = {s.split(' = ')[0] for s in said2 if s.endswith('= -999')}
    known += [f'no {s.split()[1]}' for s in sorted(lacking)]
    said, said2 = ({s for s in q if s.split(' = ')[0] not in lacking} for q in (said, said2))
    for mine, theirs in ((said, said2), (symbols, symbols2)):
        faults += [f'ours only: {s}' for s in sorted(mine - theirs)] + [
            f'NVIDIA only: {s}' for s in sorted(theirs - mine)
        ]

    count = ', '.join(
        f'{sum(s.startswith(k) for s in said2)} {k}'
        for k in ('types', 'layout', 'enums', 'defaults')
    )
    print(
        f'TensorRT {".".join(version)} ({include}): {"DIFFERS" if faults else "same"}; compared '
        f'{sum(len(tables2[c]) for c in INTERFACES.values() if c in tables2)} vtable slots, {count}, {len(symbols2)} symbols'
    )
    print(''.join(f'  known: {k}\n' for k in known) + ''.join(f'  {f}\n' for f in faults), end='')
    return not faults


def check_library(path):
    """Which of our type names a real library holds; one that it lacks can't be the target of a dynamic_cast there."""
    data = path.read_bytes()
    names = [c for c in [*BASES, *INTERFACES] if not c.startswith('host::')]
    absent = [
        c
        for c in names
        if f'N8nvinfer1{"".join(f"{len(p)}{p}" for p in c.split("::"))}E\0'.encode() not in data
    ]
    host = [h for h in HOST[:2] if f'N8nvinfer15v_1_0{len(h)}{h}E\0'.encode() in data]
    print(
        f'{path}: {len(names) - len(absent)} of {len(names)} type names present; absent: {", ".join(absent) or "none"}; '
        f'{"11" if host else "10"}.x form of ILogger'
    )


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('include', nargs='*', type=pathlib.Path)
    p.add_argument(
        '--cuda', type=pathlib.Path, default='/usr/local/cuda/include', help='the CUDA headers'
    )
    p.add_argument(
        '--header', type=pathlib.Path, default=HERE.parent / 'plugins', help='where trt_abi.h is'
    )
    p.add_argument('--lib', action='append', default=[], type=pathlib.Path)
    p.add_argument('-v', action='store_true', help="print NVIDIA's vtables")
    a = p.parse_args()
    good = all([check(i.resolve(), a.header.resolve(), a.cuda, a.v) for i in a.include])
    for lib in a.lib:
        check_library(lib)
    sys.exit(not good)


if __name__ == '__main__':
    main()
