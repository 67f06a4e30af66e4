"""What the generators of full-size models share: weights apart from the graph, filled where they run."""

import json
import pathlib


def external(tensor, file, offset, length):
    """Makes a tensor one whose numbers are in a file."""
    from onnx import TensorProto

    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (('location', file), ('offset', offset), ('length', length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)


def prune(g):
    """Removes nodes and initializers that no output needs."""
    needed, keep = {o.name for o in g.output}, []
    for n in reversed(g.node):
        if any(o in needed for o in n.output):
            keep.append(n)
            needed.update(n.input)
    keep.reverse()
    initial = [i for i in g.initializer if i.name in needed]
    del g.node[:], g.initializer[:]
    g.node.extend(keep)
    g.initializer.extend(initial)


def finish(model, out, plan, files):
    """Writes model.onnx, weights.json and the weight files that are in use, as holes."""
    import onnx
    from onnx import TensorProto

    onnx.save(model, str(out / 'model.onnx'))
    used = {t.external_data[0].value for t in model.graph.initializer if t.external_data}
    used |= {n.attribute[0].t.external_data[0].value for n in model.graph.node
             if n.op_type == 'Constant' and n.attribute[0].t.data_location == TensorProto.EXTERNAL}
    sizes = {name: size for name, size in files.items() if name in used}
    for name, size in sizes.items():
        with open(out / name, 'wb') as file:
            file.truncate(size)
    (out / 'weights.json').write_text(json.dumps(dict(files=sizes, tensors=plan)))


def fill(folder):
    """Fills the weight files with seeded random numbers, on the GPU if there is one."""
    import torch

    out = pathlib.Path(folder)
    manifest = json.loads((out / 'weights.json').read_text())
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    generator = torch.Generator(device).manual_seed(0)
    for name, size in manifest['files'].items():
        with open(out / name, 'wb') as file:
            file.truncate(size)
    with open(out / 'weights.bin', 'r+b') as file:
        for tensor in manifest['tensors']:
            kind = torch.bfloat16 if tensor['type'] == 'bf16' else torch.float32
            values = torch.randn(tensor['count'], generator=generator, device=device)
            values = values * (tensor['fan'] ** -0.5 if tensor['fan'] > 1 else 0.02) + (1 if tensor['ones'] else 0)
            file.seek(tensor['offset'])
            file.write(values.to(kind).cpu().view(torch.uint8).numpy().tobytes())
    print(f'{out}: written')
